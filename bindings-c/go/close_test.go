package callsheet_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// collect has the garbage collector run cleanups.
func collect() {
	for range 3 {
		runtime.GC()
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	registries(t, func(t *testing.T, url string) {
		client := connect(t, url)
		registration, err := client.Register(within(t), callsheet.Registration{Service: "other", Port: 80})
		must(t, err)
		picker, err := client.Picker(within(t), "billing", callsheet.P2C)
		must(t, err)
		ctx := within(t)
		begun := make(chan struct{}, 100)
		var ended sync.WaitGroup
		run := func(name string, want error, f func() error) {
			ended.Add(1)
			go func() {
				defer ended.Done()
				if err := f(); !errors.Is(err, want) {
					t.Errorf("%s: %v", name, err)
				}
			}()
		}
		for range 5 {
			run("Watch", nil, func() error {
				for _, err := range client.Watch(ctx, "billing") {
					if err != nil {
						return err
					}
					begun <- struct{}{}
				}
				return nil
			})
			run("WatchServices", nil, func() error {
				for _, err := range client.WatchServices(ctx) {
					if err != nil {
						return err
					}
					begun <- struct{}{}
				}
				return nil
			})
			run("WaitFor", callsheet.ErrClosed, func() error {
				begun <- struct{}{}
				_, err := client.WaitFor(ctx, "billing", 1)
				return err
			})
			run("Wait", callsheet.ErrClosed, func() error {
				begun <- struct{}{}
				return registration.Wait(ctx, callsheet.StateLost)
			})
			run("PickWait", callsheet.ErrClosed, func() error {
				begun <- struct{}{}
				_, err := picker.PickWait(ctx)
				return err
			})
		}
		for range 25 {
			receive(t, begun)
		}
		done := make(chan error, 3)
		for range cap(done) {
			go func() { done <- client.Close() }()
		}
		for range cap(done) {
			must(t, receive(t, done))
		}
		ended.Wait()
	})
}

func TestNothingAfterClose(t *testing.T) {
	registries(t, func(t *testing.T, url string) {
		client, other := connect(t, url), connect(t, url)
		registration, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
		must(t, err)
		picker, err := client.Picker(within(t), "billing", callsheet.P2C)
		must(t, err)
		pick, err := picker.Pick()
		must(t, err)
		buffered, unread := make(chan *callsheet.Snapshot, 1000), make(chan *callsheet.Snapshot)
		must(t, client.WatchChan(within(t), "billing", buffered))
		must(t, client.WatchChan(within(t), "billing", unread))
		receive(t, buffered)
		must(t, client.Close())
		sent := len(buffered)
		_, err = other.Register(within(t), callsheet.Registration{Service: "billing", Port: 81})
		must(t, err)
		_, err = other.WaitFor(within(t), "billing", 1)
		must(t, err)
		if len(buffered) != sent {
			t.Error("something was sent after Close")
		}
		select {
		case snapshot := <-unread:
			t.Error(snapshot)
		default:
		}
		// What was picked stays readable, and may be reported.
		if pick.URL() != "http://127.0.0.1:80" {
			t.Error(pick.URL())
		}
		pick.Done(nil)
		if picker.Len() != 0 {
			t.Error(picker.Len())
		}
		ctx := within(t)
		for name, call := range map[string]func() error{
			"Ping":   func() error { return client.Ping(ctx) },
			"Lookup": func() error { _, err := client.Lookup(ctx, "billing"); return err },
			"WaitFor": func() error {
				_, err := client.WaitFor(ctx, "billing", 1)
				return err
			},
			"Services": func() error { _, err := client.Services(ctx); return err },
			"Register": func() error {
				_, err := client.Register(ctx, callsheet.Registration{Service: "a", Port: 1})
				return err
			},
			"Registration": func() error { _, err := client.Registration("a"); return err },
			"Deregister":   func() error { return client.Deregister(ctx, "a") },
			"Picker":       func() error { _, err := client.Picker(ctx, "billing", callsheet.P2C); return err },
			"WatchChan":    func() error { return client.WatchChan(ctx, "billing", unread) },
			"Watch": func() (last error) {
				for _, err := range client.Watch(ctx, "billing") {
					last = err
				}
				return last
			},
			"WatchServices": func() (last error) {
				for _, err := range client.WatchServices(ctx) {
					last = err
				}
				return last
			},
			"Pick":     func() error { _, err := picker.Pick(); return err },
			"PickWait": func() error { _, err := picker.PickWait(ctx); return err },
			"Call": func() error {
				return picker.Call(ctx, 2, func(context.Context, callsheet.Pick) error { return nil })
			},
			"Ready":     func() error { return registration.Ready(ctx) },
			"Wait":      func() error { return registration.Wait(ctx, callsheet.StateRegistered) },
			"Update":    func() error { return registration.Update(ctx, callsheet.Update{Weight: 2}) },
			"SetStatus": func() error { return registration.SetStatus(ctx, callsheet.StatusWarning, "") },
			"Drain":     func() error { return registration.Drain(ctx) },
			"Beat":      registration.Beat,
		} {
			if err := call(); !errors.Is(err, callsheet.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, client.Close())
		if stats := client.Stats(); stats.Publishes != 1 || stats.Registrations != 0 || stats.Registry != client.Source() {
			t.Error(stats)
		}
	})
}

func TestALoopMayCloseItsClient(t *testing.T) {
	client := connect(t, "memory:")
	times := 0
	for _, err := range client.Watch(within(t), "billing") {
		must(t, err)
		must(t, client.Close())
		times++
	}
	if times != 1 {
		t.Error(times)
	}
}

func TestCloseFromEverywhereWhileEverythingRuns(t *testing.T) {
	for range 20 {
		memory, url := shared(t)
		put(t, memory, "a", 1)
		client := connect(t, url)
		picker, err := client.Picker(within(t), "billing", callsheet.P2C)
		must(t, err)
		ctx := within(t)
		var running, begun sync.WaitGroup
		for range 4 {
			for _, f := range []func() error{
				func() error { _, err := client.Lookup(ctx, "billing"); return err },
				func() error {
					for snapshot, err := range client.Watch(ctx, "billing") {
						if err != nil || snapshot.Len() > 0 {
							return err
						}
					}
					return callsheet.ErrClosed
				},
				func() error { return client.WatchChan(ctx, "billing", make(chan *callsheet.Snapshot)) },
				func() error {
					pick, err := picker.Pick()
					if err == nil {
						pick.Done(nil)
					}
					return err
				},
				func() error { client.Stats(); return client.Ping(ctx) },
				func() error {
					registration, err := client.Register(ctx, callsheet.Registration{Service: "other", Port: 1})
					if err == nil {
						registration.State()
						err = registration.Close()
					}
					if errors.Is(err, callsheet.ErrConflict) {
						return nil
					}
					return err
				},
			} {
				running.Add(1)
				begun.Add(1)
				go func() {
					defer running.Done()
					begun.Done()
					for {
						err := f()
						if errors.Is(err, callsheet.ErrClosed) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				}()
			}
		}
		begun.Wait() // So that Close comes in the middle, wherever that is.
		must(t, client.Close())
		running.Wait()
	}
}

func TestCloseTimesOut(t *testing.T) {
	t.Parallel()
	memory, url := shared(t)
	client := connect(t, url, callsheet.WithTimeout(100*time.Millisecond))
	_, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
	must(t, err)
	memory.Unreachable(true)
	began := time.Now()
	if err := client.Close(); !errors.Is(err, callsheet.ErrTimeout) {
		t.Error(err)
	}
	if took := time.Since(began); took < 5*time.Second || took > 5*5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestADroppedClientIsFreed(t *testing.T) {
	_, url := shared(t)
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	func() {
		for range 50 {
			client, err := callsheet.Connect(within(t), url)
			must(t, err)
			_, err = client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
			if err != nil && !errors.Is(err, callsheet.ErrConflict) {
				t.Error(err)
			}
			picker, err := client.Picker(within(t), "billing", callsheet.P2C)
			must(t, err)
			picker.Len()
		}
	}()
	eventually(t, "descriptors and goroutines are freed", func() bool {
		collect()
		return descriptors(t) <= before+2 && runtime.NumGoroutine() <= goroutines+2
	})
}
