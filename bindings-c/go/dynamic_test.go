package callsheet_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLinkedDynamically has a program use the shared library that was installed into a folder, as pkg-config knows it.
func TestLinkedDynamically(t *testing.T) {
	t.Parallel()
	// Always the same one, and named to Go as well, which otherwise keeps what pkg-config said of another.
	prefix, err := filepath.Abs("../../target/go-prefix")
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	run := func(words ...string) string {
		command := exec.CommandContext(ctx, words[0], words[1:]...)
		command.Env = append(os.Environ(), "PKG_CONFIG_PATH="+filepath.Join(prefix, "lib", "pkgconfig"),
			"LD_LIBRARY_PATH="+filepath.Join(prefix, "lib"), "CGO_LDFLAGS=-L"+filepath.Join(prefix, "lib"), "MAKEFLAGS=")
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", words, err, output)
		}
		return string(output)
	}
	run("make", "-C", "..", "install", "PREFIX="+prefix)
	program := filepath.Join(t.TempDir(), "examples.test")
	run("go", "test", "-tags", "callsheet_dynamic", "-c", "-o", program, ".")
	if output := run(program, "-test.run", "^(Example|TestFilters)"); !strings.Contains(output, "PASS") {
		t.Error(output)
	}
	if needed := run("ldd", program); !strings.Contains(needed, filepath.Join(prefix, "lib", "libcallsheet.so.0")) {
		t.Error(needed)
	}
}
