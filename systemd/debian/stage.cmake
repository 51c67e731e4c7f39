# Runs in CPack, between the installation into the staging directory and the making of the package:
# documentation as Debian has it.
set(usr ${CPACK_TEMPORARY_DIRECTORY}${CPACK_INSTALL_PREFIX})
if(NOT CPACK_INSTALL_PREFIX STREQUAL "/usr")
  message(FATAL_ERROR "A package needs -DCMAKE_INSTALL_PREFIX=/usr, as in: "
    "cmake --workflow --preset package")
endif()

# Without name and time: the same source makes the same file.
function(compress file)
  execute_process(COMMAND gzip -9 -n ${file} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# A checkout may have been made with any umask.
function(add name directory new_name)
  file(COPY ${CPACK_PORTWATCH_DEBIAN_DIR}/${name} DESTINATION ${directory}
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  file(RENAME ${directory}/${name} ${directory}/${new_name})
endfunction()

set(doc ${usr}/share/doc/${CPACK_PACKAGE_NAME})
file(REMOVE ${doc}/LICENSE)
add(copyright ${doc} copyright)
add(changelog ${doc} changelog)
file(RENAME ${doc}/NEWS.md ${doc}/NEWS)
compress(${doc}/changelog)
compress(${doc}/NEWS)
add(lintian-overrides ${usr}/share/lintian/overrides ${CPACK_PACKAGE_NAME})

file(GLOB pages ${usr}/share/man/man?/*.?)
foreach(page ${pages})
  compress(${page})
endforeach()

# On Debian a service is enabled where no preset says otherwise; a preset of ours would overrule
# those that administrators have behind it.
file(REMOVE_RECURSE ${usr}/lib/systemd/system-preset)
