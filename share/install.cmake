# Manual pages and completions.
foreach(page portwatchctl.1 portwatch.conf.5 portwatch.rules.5 portwatchd.8)
  string(REGEX REPLACE ".*\\." "" section ${page})
  install(FILES share/man/${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

install(FILES share/completions/portwatchctl
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES share/completions/portwatchctl.fish
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
# Debian's zsh looks for what packages bring in a directory of its own.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" AND EXISTS /etc/debian_version)
  set(PORTWATCH_ZSH_DIR vendor-completions)
else()
  set(PORTWATCH_ZSH_DIR site-functions)
endif()
install(FILES share/completions/_portwatchctl
  DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/${PORTWATCH_ZSH_DIR})
