package callsheet_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// patience is how long a test waits for what has to come: many times what is promised.
const patience = 30 * time.Second

var names atomic.Int64

// within is a context that lasts for the test, but not for ever.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// connect returns a client that the end of the test closes.
func connect(t testing.TB, url string, options ...callsheet.Option) *callsheet.Client {
	t.Helper()
	client, err := callsheet.Connect(within(t), url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// shared returns the control of a registry in memory of the test's own, and its URL.
func shared(t testing.TB) (*callsheet.Memory, string) {
	t.Helper()
	name := fmt.Sprintf("test-%d", names.Add(1))
	memory, err := callsheet.OpenMemory(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(memory.Close)
	return memory, "memory:" + name
}

// put writes an instance with this id, and a port of its own.
func put(t testing.TB, memory *callsheet.Memory, id string, port int) {
	t.Helper()
	must(t, memory.Put(callsheet.Registration{Service: "billing", Address: "10.0.0.1", Port: port, ID: id}))
}

// registries are the URLs that what holds everywhere is tested on.
func registries(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("memory", func(t *testing.T) {
		_, url := shared(t)
		test(t, url)
	})
	t.Run("local", func(t *testing.T) { test(t, "local://"+filepath.Join(t.TempDir(), "registry.db")) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// receive waits for what comes through a channel.
func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case value := <-ch:
		return value
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func ids(snapshot *callsheet.Snapshot) []string {
	list := []string{}
	for instance := range snapshot.All() {
		list = append(list, instance.ID)
	}
	return list
}

// threads counts the threads of this process.
func threads(t testing.TB) int { return entries(t, "/proc/self/task") }

// descriptors counts the open descriptors of this process.
func descriptors(t testing.TB) int { return entries(t, "/proc/self/fd") }

func entries(t testing.TB, folder string) int {
	t.Helper()
	list, err := os.ReadDir(folder)
	must(t, err)
	return len(list)
}
