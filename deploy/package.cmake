# What is installed, and the Debian package made of it: deploy/package.
include(GNUInstallDirs)

set(documents "${CMAKE_INSTALL_DATADIR}/doc/pgkeel")
set(units "${CMAKE_INSTALL_PREFIX}/lib/systemd/system")

install(TARGETS pgkeel RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
foreach(unit pgkeel pgkeel-agent)
  configure_file(deploy/systemd/${unit}.service.in ${unit}.service @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${unit}.service" DESTINATION "${units}")
endforeach()
install(FILES deploy/systemd/local-nodes.conf deploy/systemd/virtual-ip.conf DESTINATION "${documents}/examples")

# Made by the program itself: manual pages and completion. gzip -n: the same each time.
set(made "${PROJECT_BINARY_DIR}/package_files")
add_custom_command(
  OUTPUT "${made}/pgkeel.1.gz" "${made}/pgkeel.toml.5.gz" "${made}/pgkeel.bash" "${made}/_pgkeel" "${made}/pgkeel.fish"
  COMMAND "${CMAKE_COMMAND}" -E make_directory "${made}"
  COMMAND pgkeel manual pgkeel | gzip -9n > "${made}/pgkeel.1.gz"
  COMMAND pgkeel manual pgkeel.toml | gzip -9n > "${made}/pgkeel.toml.5.gz"
  COMMAND pgkeel completion bash > "${made}/pgkeel.bash"
  COMMAND pgkeel completion zsh > "${made}/_pgkeel"
  COMMAND pgkeel completion fish > "${made}/pgkeel.fish"
  DEPENDS pgkeel VERBATIM)
add_custom_target(package_files ALL
  DEPENDS "${made}/pgkeel.1.gz" "${made}/pgkeel.toml.5.gz" "${made}/pgkeel.bash" "${made}/_pgkeel" "${made}/pgkeel.fish")
install(FILES "${made}/pgkeel.1.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(FILES "${made}/pgkeel.toml.5.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man5")
install(FILES "${made}/pgkeel.bash" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" RENAME pgkeel)
install(FILES "${made}/_pgkeel" DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions")
install(FILES "${made}/pgkeel.fish" DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")

install(FILES deploy/debian/pgkeel.sysusers DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/sysusers.d" RENAME pgkeel.conf)
install(FILES deploy/debian/pgkeel.toml DESTINATION "${CMAKE_INSTALL_FULL_SYSCONFDIR}/pgkeel"
  PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
install(FILES deploy/debian/copyright README.md DESTINATION "${documents}")
install(FILES config/example.toml DESTINATION "${documents}/examples" RENAME pgkeel.toml)
install(FILES config/agent.example.toml DESTINATION "${documents}/examples" RENAME agent.toml)
# As they lie beside each other in the source: they lead to each other.
install(DIRECTORY deploy/docs deploy/observe deploy/kubernetes deploy/docker deploy/systemd DESTINATION "${documents}/deploy"
  PATTERN "*.in" EXCLUDE PATTERN ".gitignore" EXCLUDE)
install(DIRECTORY deploy/examples DESTINATION "${documents}/deploy" USE_SOURCE_PERMISSIONS)
install(FILES deploy/configuration.md DESTINATION "${documents}/deploy")
install(FILES config/example.toml config/agent.example.toml DESTINATION "${documents}/config")
install(FILES proxy/admin/openapi.json DESTINATION "${documents}/proxy/admin")
# And what they say of how it works.
foreach(page
    config/README.md
    health/README.md
    proxy/README.md
    proxy/handover/README.md
    proxy/vip/README.md
    replication/README.md
    replication/agent/README.md
    replication/coordination/README.md
    replication/peers/README.md
    replication/readiness/README.md
    replication/state/FORMAT.md
    tests/chaos/README.md
    tests/drivers/README.md
    tests/simulation/README.md)
  cmake_path(GET page PARENT_PATH folder)
  install(FILES "${page}" DESTINATION "${documents}/${folder}")
endforeach()
install(FILES "${PROJECT_BINARY_DIR}/changelog.gz" DESTINATION "${documents}" OPTIONAL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "the pgkeel authors <pgkeel@example.org>")
set(CPACK_PACKAGING_INSTALL_PREFIX "${CMAKE_INSTALL_PREFIX}")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "postgresql, prometheus")
set(CPACK_PACKAGE_DESCRIPTION "Applications connect to one address; behind it stand a primary and its
standbys. When the primary fails, pgkeel promotes a standby, gives every
client the error that makes its driver reconnect to the same address, and
makes the old primary a standby again. The same program is the agent beside
each server.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${PROJECT_SOURCE_DIR}/deploy/debian/postinst;${PROJECT_SOURCE_DIR}/deploy/debian/prerm;${PROJECT_SOURCE_DIR}/deploy/debian/postrm;${PROJECT_BINARY_DIR}/conffiles")
file(WRITE "${PROJECT_BINARY_DIR}/conffiles" "/etc/pgkeel/pgkeel.toml\n")
include(CPack)
