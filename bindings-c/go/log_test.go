package callsheet_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// buffer is read while it is written.
type buffer struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (b *buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.Write(text)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.String()
}

// refused has callsheet log a warning.
func refused(t *testing.T) {
	memory, url := shared(t)
	memory.Refuse(true)
	client := connect(t, url, callsheet.WithTimeout(time.Second))
	_, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
	must(t, err)
}

func TestTheLog(t *testing.T) {
	t.Cleanup(func() { must(t, callsheet.SetLogger(nil)) })
	var all, second buffer
	must(t, callsheet.SetLogger(slog.New(slog.NewTextHandler(&all, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	refused(t)
	eventually(t, "a warning is logged", func() bool { return strings.Contains(all.String(), "level=WARN") })
	if text := all.String(); strings.Contains(text, "level=INFO") || strings.Contains(text, "level=DEBUG") {
		t.Error(text)
	}
	// Another logger takes over.
	must(t, callsheet.SetLogger(slog.New(slog.NewTextHandler(&second, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	refused(t)
	eventually(t, "the other one logs", func() bool { return strings.Contains(second.String(), "level=WARN") })
	must(t, callsheet.SetLogger(nil))
	before := second.String()
	refused(t)
	if after := second.String(); strings.Count(after, "WARN") > strings.Count(before, "WARN") {
		t.Error(after)
	}
}

func TestLoggersLeaveNothingOpen(t *testing.T) {
	must(t, callsheet.SetLogger(nil))
	before := descriptors(t)
	for range 100 {
		must(t, callsheet.SetLogger(slog.New(slog.NewTextHandler(&buffer{}, nil))))
	}
	must(t, callsheet.SetLogger(nil))
	eventually(t, "all pipes are closed", func() bool { return descriptors(t) <= before+1 })
}
