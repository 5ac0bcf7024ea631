package callsheet

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestTheTableForgets shows that Go's instances go when the library's do.
func TestTheTableForgets(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	memory, err := OpenMemory("table")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	client, err := Connect(ctx, "memory:table")
	if err != nil {
		t.Fatal(err)
	}
	table.reclaim()
	before := table.held()
	const many = 2 * chunkSize
	for i := range many {
		one := Registration{Service: "many", Address: "h", Port: i + 1, Tags: []string{"t"}, Metadata: map[string]string{"k": strings.Repeat("v", 500)}}
		if i == 0 {
			// More than is read at once.
			one.Tags = nil
			for i := range 64 {
				one.Tags = append(one.Tags, fmt.Sprint("tag-", i))
			}
			for i := range 50 {
				one.Metadata[fmt.Sprint("key-", i)] = strings.Repeat("v", 500)
			}
		}
		if err := memory.Put(one); err != nil {
			t.Fatal(err)
		}
	}
	snapshot, err := client.Lookup(ctx, "many")
	if err != nil || snapshot.Len() != many {
		t.Fatal(snapshot, err)
	}
	if first, ok := snapshot.Get("h:1"); !ok || len(first.Tags) != 64 || first.Tags[63] != "tag-63" || len(first.Metadata) != 51 || len(first.Metadata["key-49"]) != 500 {
		t.Error(first)
	}
	if held := table.held() - before; held != many {
		t.Errorf("it has %d", held)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	memory.Wipe()
	for deadline := time.Now().Add(30 * time.Second); table.held() > before; runtime.Gosched() {
		table.reclaim()
		if time.Now().After(deadline) {
			t.Fatalf("it still has %d", table.held()-before)
		}
	}
	// What the program holds stays as it is.
	if snapshot.At(0).URL() != "http://h:1" {
		t.Error(snapshot.At(0))
	}
}

func BenchmarkEmptyCall(b *testing.B) {
	for b.Loop() {
		abi()
	}
}
