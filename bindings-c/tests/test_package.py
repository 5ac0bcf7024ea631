"""What is installed: which symbols the libraries show, what pkg-config and CMake find, and that another SQLite fits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import BINDING, C11, ROOT, STATIC, Programs, run

HEADER = (BINDING / "include" / "callsheet.h").read_text()
DECLARED = set(re.findall(r"\b(callsheet_\w+)\(", HEADER.split("*/", 1)[1]))


def symbols(*arguments: str | Path) -> set[str]:
    lines = run("nm", *arguments).stdout.splitlines()
    return {parts[-1] for parts in map(str.split, lines) if len(parts) == 3}


@pytest.mark.parametrize(
    "what", [("-D", "libcallsheet.so"), ("-g", "libcallsheet.a")], ids=["shared", "static"]
)
def test_the_only_global_symbols_are_the_header_s(what: tuple[str, str], library: Path) -> None:
    shown = symbols(what[0], "--defined-only", library / what[1])
    assert shown - {"callsheet_test_panic"} == {name for name in DECLARED if not name.endswith("_t")}


def test_the_shared_library_has_its_soname_and_the_link_beside_it(library: Path) -> None:
    assert "libcallsheet.so.0" in run("readelf", "-d", library / "libcallsheet.so").stdout
    assert (library / "libcallsheet.so.0").resolve() == (library / "libcallsheet.so").resolve()


def test_it_lives_beside_another_sqlite(programs: Programs, tmp_path: Path) -> None:
    source = tmp_path / "beside.c"
    source.write_text(
        """#include <callsheet.h>
        int sqlite3_open_v2(const char *name, void **db, int flags, const char *vfs);
        int sqlite3_open_v2(const char *name, void **db, int flags, const char *vfs) {
            (void)name, (void)db, (void)flags, (void)vfs;
            return 1; /* the program's own, which cannot open anything */
        }
        int main(void) {
            callsheet_client_t *client = 0;
            int well = callsheet_connect(0, 0, &client, 0) == CALLSHEET_OK &&
                       callsheet_ping(client, 0) == CALLSHEET_OK;
            callsheet_client_close(client, 0);
            callsheet_client_free(client);
            return well ? 0 : 1;
        }"""
    )
    program = programs.compile(source, "beside", C11, STATIC)
    run(program, CALLSHEET_URL=f"local://{tmp_path}/registry.db")


@pytest.fixture(scope="module")
def installed(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("prefix")
    run("make", "-C", BINDING, "install", f"PREFIX={prefix}", within=1800)
    return prefix


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
def test_an_example_builds_through_pkg_config(installed: Path, static: bool, tmp_path: Path) -> None:
    path = str(installed / "lib" / "pkgconfig")
    asked = ["--static"] if static else []
    flags = run("pkg-config", "--cflags", "--libs", *asked, "callsheet", PKG_CONFIG_PATH=path).stdout.split()
    if static:
        flags = [
            str(installed / "lib" / "libcallsheet.a") if flag == "-lcallsheet" else flag for flag in flags
        ]
    program = tmp_path / "callbacks"
    run(*C11, BINDING / "examples" / "callbacks.c", "-o", program, *flags)
    run(program, "billing", "0", "memory:", LD_LIBRARY_PATH=str(installed / "lib"))
    version = run("pkg-config", "--modversion", "callsheet", PKG_CONFIG_PATH=path).stdout.strip()
    assert f'version = "{version}"' in (ROOT / "Cargo.toml").read_text()


@pytest.mark.parametrize("target", ["callsheet::callsheet", "callsheet::static"])
@pytest.mark.parametrize("moved", [False, True], ids=["in-place", "moved"])
def test_an_example_builds_through_cmake(installed: Path, target: str, moved: bool, tmp_path: Path) -> None:
    if moved:
        installed = installed.rename(installed.with_name(f"{installed.name}-moved"))
    try:
        project = tmp_path / "project"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(
            f"""cmake_minimum_required(VERSION 3.13)
            project(example C)
            find_package(callsheet 0.1 REQUIRED)
            add_executable(example {BINDING / "examples" / "callbacks.c"})
            target_compile_definitions(example PRIVATE _GNU_SOURCE)
            target_link_libraries(example PRIVATE {target})
            """
        )
        run("cmake", "-S", project, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={installed}")
        run("cmake", "--build", tmp_path / "build")
        run(tmp_path / "build" / "example", "billing", "0", "memory:")
    finally:
        if moved:
            installed.rename(installed.with_name(installed.name.removesuffix("-moved")))


@pytest.mark.parametrize(("features", "libraries"), [("", ()), ("local", ("sqlite",)), ("etcd", ("tonic",))])
def test_a_library_with_some_registries_can_be_built(features: str, libraries: tuple[str, ...]) -> None:
    arguments = (
        "--locked",
        "-p",
        "callsheet",
        "-p",
        "callsheet-c",
        "--no-default-features",
        "--features",
        features,
    )
    run("cargo", "clippy", "--quiet", *arguments, "--", "-D", "warnings", within=1800, cwd=ROOT)
    tree = run("cargo", "tree", *arguments, "--edges", "normal", "--prefix", "none", cwd=ROOT).stdout
    assert "tokio" in tree
    for library in ("sqlite", "tonic"):
        assert (library in tree) == (library in libraries)


def test_destdir_and_uninstall(library: Path, tmp_path: Path) -> None:
    arguments = ("make", "-C", BINDING, "PREFIX=/opt/callsheet", f"DESTDIR={tmp_path}")
    run(*arguments, "install", within=1800)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    assert "opt/callsheet/include/callsheet.h" in files
    assert "opt/callsheet/lib/libcallsheet.so.0" in files
    assert str(tmp_path) not in (tmp_path / "opt/callsheet/lib/pkgconfig/callsheet.pc").read_text()
    run(*arguments, "uninstall")
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]
