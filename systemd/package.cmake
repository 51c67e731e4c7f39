# The Debian package: cmake --workflow --preset package
#
# Its files are those of an installation with the prefix /usr; debian/ has what Debian adds. Other
# distributions package what "cmake --install" with DESTDIR gives.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ${PROJECT_NAME})
set(CPACK_PACKAGE_VENDOR "The portwatch developers")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "watches which ports are open, and alerts")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)

# Settings are installed to /etc, whatever the prefix: all goes by DESTDIR.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
  GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(DEBIAN_DIR ${PROJECT_SOURCE_DIR}/systemd/debian)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER
  "The portwatch developers <portwatch@users.noreply.example.org>")
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"portwatch knows which TCP and UDP ports are open on this host, and which
program, user and systemd unit opened each. It keeps the history, and tells
the journal when a port is open that no rule expects. It opens no port
itself and blocks nothing.
.
What is open at the first start is taken as expected. The command
portwatchctl answers questions, and writes rules.")
# The libraries that the programs are linked with, and systemd for the user, the directories and the
# unit. The bus is asked once, whether the host has finished booting.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "default-dbus-system-bus | dbus-system-bus")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${DEBIAN_DIR}/conffiles ${DEBIAN_DIR}/postinst
  ${DEBIAN_DIR}/prerm ${DEBIAN_DIR}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PRE_BUILD_SCRIPTS ${DEBIAN_DIR}/stage.cmake)
set(CPACK_PORTWATCH_DEBIAN_DIR ${DEBIAN_DIR})

include(CPack)
