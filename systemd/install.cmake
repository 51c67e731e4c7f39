# What systemd reads, the default settings, and documentation.
#
# systemd looks below /usr/lib and /usr/local/lib only; with another prefix its files go to the
# latter.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" OR CMAKE_INSTALL_PREFIX STREQUAL "/")
  set(PORTWATCH_SYSTEMD_LIBDIR /usr/lib)
else()
  set(PORTWATCH_SYSTEMD_LIBDIR /usr/local/lib)
endif()

configure_file(systemd/portwatchd.service.in portwatchd.service @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/portwatchd.service
  DESTINATION ${PORTWATCH_SYSTEMD_LIBDIR}/systemd/system)
install(FILES systemd/portwatch.preset
  DESTINATION ${PORTWATCH_SYSTEMD_LIBDIR}/systemd/system-preset RENAME 80-portwatch.preset)
install(FILES systemd/portwatch.catalog systemd/portwatch.ko.catalog
  DESTINATION ${PORTWATCH_SYSTEMD_LIBDIR}/systemd/catalog)
foreach(kind sysusers tmpfiles modules-load)
  install(FILES systemd/portwatch.${kind}
    DESTINATION ${PORTWATCH_SYSTEMD_LIBDIR}/${kind}.d RENAME portwatch.conf)
endforeach()

# Settings are the administrator's: never overwritten.
install(CODE "
  set(conf \"\$ENV{DESTDIR}${CMAKE_INSTALL_SYSCONFDIR}/portwatch/portwatch.conf\")
  if(NOT EXISTS \"\${conf}\")
    file(INSTALL \"${PROJECT_SOURCE_DIR}/systemd/portwatch.conf\"
      DESTINATION \"${CMAKE_INSTALL_SYSCONFDIR}/portwatch\")
  endif()")
# Writable by root only: who may write rules may hide a port.
install(DIRECTORY DESTINATION ${CMAKE_INSTALL_SYSCONFDIR}/portwatch/rules.d
  DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)
install(FILES README.md README.ko.md NEWS.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
include(share/install.cmake)
