package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// resident returns the bytes of this process in memory, and of it what Go's heap takes from the system.
func resident(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	must(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	must(t, err)
	return pages * os.Getpagesize()
}

// memoryIsJudged is false under the race detector.
var memoryIsJudged = true

// flat runs one many times: what it leaves behind each time must be less than 200 bytes, and no thread, goroutine or
// descriptor.
func flat(t *testing.T, warm, rounds int, one func()) {
	t.Helper()
	for range warm {
		one()
	}
	collect()
	debug.FreeOSMemory()
	memory, tasks, files, goroutines := resident(t), threads(t), descriptors(t), runtime.NumGoroutine()
	// Allocators keep more at some times than at others, but only what leaks grows each time.
	for tries := 3; ; tries-- {
		for range rounds {
			one()
		}
		collect()
		debug.FreeOSMemory()
		grown := resident(t) - memory
		if !memoryIsJudged || grown <= 200*rounds+(2<<20) {
			break
		}
		if tries == 1 {
			t.Errorf("%d bytes a round", grown/rounds)
			break
		}
		memory += grown
	}
	eventually(t, "threads, goroutines and descriptors are as before", func() bool {
		collect()
		// Go starts threads of its own when others are busy.
		return threads(t) <= tasks+4 && descriptors(t) <= files+2 && runtime.NumGoroutine() <= goroutines+1
	})
}

func TestTenThousandClients(t *testing.T) {
	flat(t, 1000, 10_000, func() {
		client, err := callsheet.Connect(context.Background(), "memory:")
		must(t, err)
		_, err = client.Lookup(context.Background(), "billing")
		must(t, err)
		must(t, client.Close())
	})
}

func TestEverythingOfAClient(t *testing.T) {
	ctx := context.Background()
	flat(t, 300, 1000, func() {
		// A registry of its own, so that its history goes with it.
		client, err := callsheet.Connect(ctx, "memory:")
		must(t, err)
		registration, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: 80})
		must(t, err)
		must(t, client.WatchChan(ctx, "billing", make(chan *callsheet.Snapshot)))
		for range registration.States(ctx) {
			break
		}
		for range client.Watch(ctx, "billing") {
			break
		}
		picker, err := client.Picker(ctx, "billing", callsheet.P2C)
		must(t, err)
		pick, err := picker.Pick()
		must(t, err)
		pick.Done(nil)
		must(t, client.Close())
	})
}

func TestTenThousandWatches(t *testing.T) {
	memory, url := shared(t)
	put(t, memory, "a", 1)
	client := connect(t, url)
	flat(t, 1000, 10_000, func() {
		for snapshot, err := range client.Watch(context.Background(), "billing") {
			if must(t, err); snapshot.Len() != 1 {
				t.Fatal(snapshot)
			}
			break
		}
	})
}

func TestTenThousandChannels(t *testing.T) {
	client := connect(t, "memory:")
	flat(t, 1000, 10_000, func() {
		ctx, stop := context.WithCancel(context.Background())
		ch := make(chan *callsheet.Snapshot)
		must(t, client.WatchChan(ctx, "billing", ch))
		<-ch
		stop()
	})
	eventually(t, "all are gone", func() bool { return client.Stats().Subscribers == 0 })
}

func TestTenThousandCancelledCalls(t *testing.T) {
	client := connect(t, "memory:")
	flat(t, 1000, 10_000, func() {
		ctx, stop := context.WithCancel(context.Background())
		go stop()
		if _, err := client.WaitFor(ctx, "billing", 1); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

func TestRegistrationsThatComeAndGo(t *testing.T) {
	client := connect(t, "memory:")
	// Warm is when the history that the registry in memory keeps for watches is full.
	flat(t, 2500, 3000, func() {
		registration, err := client.Register(context.Background(), callsheet.Registration{Service: "billing", Port: 80})
		must(t, err)
		must(t, registration.Close())
	})
}

func TestInstancesThatComeAndGo(t *testing.T) {
	memory, url := shared(t)
	client := connect(t, url)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	snapshots := make(chan *callsheet.Snapshot)
	must(t, client.WatchChan(ctx, "billing", snapshots))
	<-snapshots
	weight := 0
	flat(t, 5000, 10_000, func() {
		weight = weight%1000 + 1
		must(t, memory.Put(callsheet.Registration{Service: "billing", Address: "h", Port: 1, Weight: weight}))
		for snapshot := range snapshots {
			if snapshot.At(0).Weight == weight {
				break
			}
		}
	})
}

func TestPicksAndErrors(t *testing.T) {
	_, picker := picking(t, 3, callsheet.P2C)
	client := connect(t, "memory:")
	none, err := client.Picker(within(t), "nobody", callsheet.P2C)
	must(t, err)
	flat(t, 1000, 10_000, func() {
		pick, err := picker.Pick()
		must(t, err)
		pick.Done(nil)
		if _, err := none.Pick(); !errors.Is(err, callsheet.ErrNoInstances) {
			t.Fatal(err)
		}
		if _, err := client.Register(context.Background(), callsheet.Registration{}); !errors.Is(err, callsheet.ErrInvalidArgument) {
			t.Fatal(err)
		}
	})
}

// TestThreeHundredWatches shows that what waits holds neither a thread nor a descriptor.
func TestThreeHundredWatches(t *testing.T) {
	registries(t, func(t *testing.T, url string) {
		provider, client := connect(t, url), connect(t, url)
		_, err := client.Lookup(within(t), "warm")
		must(t, err)
		_, err = provider.Register(within(t), callsheet.Registration{Service: "warm", Port: 1})
		must(t, err)
		ctx, stop := context.WithCancel(within(t))
		defer stop()
		tasks, files := threads(t), descriptors(t)
		var loops sync.WaitGroup
		seen := make(chan string, 1000)
		const many = 300
		for i := range many {
			loops.Add(1)
			go func() {
				defer loops.Done()
				for snapshot, err := range client.Watch(ctx, fmt.Sprint("service-", i)) {
					if err != nil {
						if !errors.Is(err, callsheet.ErrCancelled) {
							t.Error(err)
						}
						return
					}
					for range snapshot.All() {
						seen <- snapshot.Service()
					}
				}
			}()
		}
		eventually(t, "all are live", func() bool { return client.Stats().LiveServices >= many })
		for i := range 3 {
			service := fmt.Sprint("service-", i*100)
			_, err := provider.Register(within(t), callsheet.Registration{Service: service, Port: 1})
			must(t, err)
			if got := receive(t, seen); got != service {
				t.Errorf("%s, not %s", got, service)
			}
		}
		if now := threads(t); now > tasks+8 {
			t.Errorf("%d threads became %d", tasks, now)
		}
		if now := descriptors(t); now > files+8 {
			t.Errorf("%d descriptors became %d", files, now)
		}
		stop()
		loops.Wait()
		eventually(t, "all are gone", func() bool { return client.Stats().Subscribers == 0 })
	})
}
