package callsheet_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// prelude is what the snippets take as given: a program of one's own.
const prelude = `
var ctx = context.Background()

func call(context.Context, string) error { return nil }

func waitFor(context.Context) {}

func main() {
	if err := program(); err != nil {
		log.Fatal(err)
	}
}
`

var (
	snippet  = regexp.MustCompile("(?s)```go\n(.*?)```")
	packages = []string{"context", "errors", "fmt", "log", "log/slog", "net/http", "os", "os/signal", "syscall", "time"}
)

// TestGuidesRun has every snippet of Go of the README files and the guides run as it is written.
func TestGuidesRun(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	must(t, err)
	root := filepath.Join(here, "..", "..")
	guides, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	must(t, err)
	guides = append(guides, filepath.Join(root, "README.md"), filepath.Join(here, "README.md"))
	module := t.TempDir()
	write := func(path, text string) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(module, path)), 0o700))
		must(t, os.WriteFile(filepath.Join(module, path), []byte(text), 0o600))
	}
	const path = "github.com/callsheet/callsheet/bindings-c/go"
	write("go.mod", fmt.Sprintf("module guides\n\ngo 1.24\n\nrequire %s v0.0.0\n\nreplace %s => %s\n", path, path, here))
	found := 0
	for i, guide := range guides {
		text, err := os.ReadFile(guide)
		must(t, err)
		var body strings.Builder
		for _, match := range snippet.FindAllStringSubmatch(string(text), -1) {
			body.WriteString(match[1])
		}
		if body.Len() == 0 {
			continue
		}
		found++
		program := prelude + "\nfunc program() error {\n" + body.String() + "\nreturn nil\n}\n"
		imports := "package main\n\nimport (\n"
		for _, name := range packages {
			if strings.Contains(program, filepath.Base(name)+".") {
				imports += fmt.Sprintf("%q\n", name)
			}
		}
		name := fmt.Sprint("guide", i)
		write(name+"/main.go", imports+fmt.Sprintf("callsheet %q\n)\n", path)+program)
		// Compiling takes its time on a busy machine.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		command := exec.CommandContext(ctx, "go", "run", "./"+name)
		command.Dir = module
		command.Env = append(os.Environ(), "CALLSHEET_URL=local://"+filepath.Join(module, name+".db"))
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", guide, err, output)
		}
	}
	if found < 2 {
		t.Errorf("only %d guides have snippets", found)
	}
}
