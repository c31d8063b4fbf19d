include(CMakeFindDependencyMacro)
# Not in the headers, but the linker follows the library's NEEDED entries.
find_dependency(demo_hsa 6.4 CONFIG)
include(${CMAKE_CURRENT_LIST_DIR}/attention_kernelsTargets.cmake)
