package callsheet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// picking returns a picker of so many instances.
func picking(t testing.TB, count int, policy callsheet.Policy) (*callsheet.Memory, *callsheet.Picker) {
	t.Helper()
	memory, url := shared(t)
	for i := range count {
		put(t, memory, fmt.Sprintf("i%02d", i), i+1)
	}
	picker, err := connect(t, url).Picker(within(t), "billing", policy)
	must(t, err)
	eventually(t, "all are seen", func() bool { return picker.Len() == count })
	return memory, picker
}

func TestEveryPolicyPicksAll(t *testing.T) {
	// Each thread takes its own turns, and a goroutine may change threads at any time.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, policy := range []callsheet.Policy{callsheet.RoundRobin, callsheet.Random, callsheet.P2C, callsheet.Weighted,
		callsheet.LeastOutstanding, callsheet.RingHash, callsheet.Maglev} {
		_, picker := picking(t, 3, policy)
		counts := map[string]int{}
		for range 300 {
			pick, err := picker.Pick()
			must(t, err)
			if pick.URL() != fmt.Sprintf("http://10.0.0.1:%d", pick.Port) || pick.Addr() != pick.URL()[len("http://"):] || pick.Address != "10.0.0.1" {
				t.Fatal(pick.Instance)
			}
			counts[pick.ID]++
			pick.Done(nil)
		}
		if len(counts) != 3 || policy == callsheet.RoundRobin && counts["i00"] != 100 {
			t.Errorf("%s: %v", policy, counts)
		}
	}
}

func TestPickersFollowAndFilter(t *testing.T) {
	memory, url := shared(t)
	client := connect(t, url)
	picker, err := client.Picker(within(t), "billing", callsheet.P2C, callsheet.Tags("v2"))
	must(t, err)
	if _, err := picker.Pick(); !errors.Is(err, callsheet.ErrNoInstances) {
		t.Error(err)
	}
	put(t, memory, "a", 1)
	must(t, memory.Put(callsheet.Registration{Service: "billing", Address: "h", Port: 2, ID: "b", Tags: []string{"v2"}}))
	pick, err := picker.PickWait(within(t))
	must(t, err)
	if pick.ID != "b" {
		t.Error(pick)
	}
	pick.Done(nil)
}

func TestAnUnknownPolicyIsRefused(t *testing.T) {
	for _, policy := range []callsheet.Policy{"", "best"} {
		if _, err := connect(t, "memory:").Picker(within(t), "billing", policy); !errors.Is(err, callsheet.ErrInvalidArgument) {
			t.Error(err)
		}
	}
}

func TestAPickIsReportedOnce(t *testing.T) {
	_, picker := picking(t, 2, callsheet.P2C)
	callsheet.Pick{}.Done(nil)
	if (callsheet.Pick{}).URL() != "" || (callsheet.Pick{}).Addr() != "" {
		t.Error("no pick has an address")
	}
	var picks []callsheet.Pick
	for range 100 {
		pick, err := picker.Pick()
		must(t, err)
		picks = append(picks, pick)
	}
	// A late second report of an old pick must not be taken for that of a newer one.
	var reporters sync.WaitGroup
	for range 4 {
		reporters.Add(1)
		go func() {
			defer reporters.Done()
			for _, pick := range picks {
				pick.Done(nil)
				again, err := picker.Pick()
				if err != nil {
					t.Error(err)
				}
				again.Done(errors.New("failed"))
			}
		}()
	}
	reporters.Wait()
}

// TestP2CAvoidsWhatIsBusy shows that reports reach the library: without them every instance would seem as busy.
func TestP2CAvoidsWhatIsBusy(t *testing.T) {
	_, picker := picking(t, 2, callsheet.P2C)
	var held []callsheet.Pick
	for range 50 {
		pick, err := picker.Pick()
		must(t, err)
		if pick.ID == "i00" {
			held = append(held, pick)
		} else {
			pick.Done(nil)
		}
	}
	counts := map[string]int{}
	for range 100 {
		pick, err := picker.Pick()
		must(t, err)
		counts[pick.ID]++
		pick.Done(nil)
	}
	if len(held) == 0 || counts["i01"] < 90 {
		t.Errorf("%d are held, and it picked %v", len(held), counts)
	}
	for _, pick := range held {
		pick.Done(context.Canceled)
	}
}

func TestCallTriesAnotherInstance(t *testing.T) {
	_, picker := picking(t, 2, callsheet.RoundRobin)
	wanted := errors.New("wanted")
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, test := range []struct {
		attempts, calls int
		first, result   error
	}{
		{2, 1, nil, nil},
		{2, 2, refused, nil},
		{2, 2, fmt.Errorf("calling: %w", syscall.ECONNREFUSED), nil},
		{2, 2, &net.OpError{Op: "dial", Err: errors.New("i/o timeout")}, nil},
		{1, 1, refused, refused},
		{0, 1, refused, refused},
		{5, 1, wanted, wanted},
		{5, 1, &net.OpError{Op: "read", Err: syscall.ECONNRESET}, syscall.ECONNRESET},
	} {
		var called []string
		err := picker.Call(within(t), test.attempts, func(_ context.Context, pick callsheet.Pick) error {
			called = append(called, pick.ID)
			if len(called) == 1 {
				return test.first
			}
			return nil
		})
		if len(called) != test.calls || !errors.Is(err, test.result) || len(called) == 2 && called[0] == called[1] {
			t.Errorf("%v: %v, %v", test, called, err)
		}
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	_, picker := picking(t, 2, callsheet.P2C)
	ctx, cancel := context.WithCancel(within(t))
	calls := 0
	err := picker.Call(ctx, 10, func(ctx context.Context, _ callsheet.Pick) error {
		calls++
		cancel()
		return fmt.Errorf("%w: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, ctx.Err())
	})
	if calls != 1 || !errors.Is(err, context.Canceled) {
		t.Error(calls, err)
	}
}

func TestACallThatPanicsIsReported(t *testing.T) {
	_, picker := picking(t, 1, callsheet.P2C)
	func() {
		defer func() {
			if recover() != "on purpose" {
				t.Error("the panic is lost")
			}
		}()
		_ = picker.Call(within(t), 2, func(context.Context, callsheet.Pick) error { panic("on purpose") })
	}()
	must(t, picker.Call(within(t), 1, func(context.Context, callsheet.Pick) error { return nil }))
}

func TestCallWaitsForAFirstInstance(t *testing.T) {
	memory, url := shared(t)
	picker, err := connect(t, url, callsheet.WithTimeout(100*time.Millisecond)).Picker(within(t), "billing", callsheet.P2C)
	must(t, err)
	if err := picker.Call(within(t), 2, nil); !errors.Is(err, callsheet.ErrNoInstances) || errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	go memory.Put(callsheet.Registration{Service: "billing", Address: "h", Port: 1})
	eventually(t, "it is called", func() bool {
		return picker.Call(within(t), 2, func(context.Context, callsheet.Pick) error { return nil }) == nil
	})
}

func TestPickingWhileTheListChanges(t *testing.T) {
	memory, picker := picking(t, 5, callsheet.P2C)
	stop := make(chan struct{})
	var pickers sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		pickers.Add(1)
		go func() {
			defer pickers.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				pick, err := picker.Pick()
				if err != nil {
					t.Error(err)
					return
				}
				// The texts are those of the instance that was picked.
				if pick.URL() != fmt.Sprintf("http://10.0.0.1:%d", pick.Port) || pick.ID != fmt.Sprintf("i%02d", (pick.Port-1)%100) {
					t.Errorf("%s is at %s", pick.ID, pick.URL())
					return
				}
				pick.Done(nil)
			}
		}()
	}
	for i := range 2000 {
		id := i % 5
		put(t, memory, fmt.Sprintf("i%02d", id), 100*(i%300+1)+id+1)
	}
	close(stop)
	pickers.Wait()
}

func benchmark(b *testing.B, policy callsheet.Policy) {
	_, picker := picking(b, 100, policy)
	b.ReportAllocs()
	for b.Loop() {
		pick, err := picker.Pick()
		if err != nil {
			b.Fatal(err)
		}
		pick.Done(nil)
	}
}

func BenchmarkPickRoundRobin(b *testing.B) { benchmark(b, callsheet.RoundRobin) }

func BenchmarkPickP2C(b *testing.B) { benchmark(b, callsheet.P2C) }

func BenchmarkPickP2CParallel(b *testing.B) {
	_, picker := picking(b, 100, callsheet.P2C)
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			pick, err := picker.Pick()
			if err != nil {
				b.Error(err)
			}
			pick.Done(nil)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	memory, url := shared(b)
	client := connect(b, url)
	for i := range 100 {
		put(b, memory, fmt.Sprint(i), i+1)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Lookup(context.Background(), "billing"); err != nil {
			b.Fatal(err)
		}
	}
}
