package callsheet_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// slow is how long a request takes of a registry that does not answer in time.
const slow = 4 * time.Second

// verbs are all that wait, on a registry that does not answer.
func verbs(t *testing.T, client *callsheet.Client, held, registration *callsheet.RegistrationHandle, picker *callsheet.Picker) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Ping": client.Ping,
		"Lookup": func(ctx context.Context) error {
			_, err := client.Lookup(ctx, "unread")
			return err
		},
		"WaitFor": func(ctx context.Context) error {
			_, err := client.WaitFor(ctx, "nobody", 1)
			return err
		},
		"Services": func(ctx context.Context) error {
			_, err := client.Services(ctx)
			return err
		},
		"Register": func(ctx context.Context) error {
			// Another one each time: one that was given up is being closed.
			_, err := client.Register(ctx, callsheet.Registration{Service: "other", Port: int(1000 + names.Add(1))})
			return err
		},
		"Picker": func(ctx context.Context) error {
			_, err := client.Picker(ctx, "unread-too", callsheet.P2C)
			return err
		},
		"Ready": held.Ready,
		"Wait":  func(ctx context.Context) error { return registration.Wait(ctx, callsheet.StateLost) },
		"PickWait": func(ctx context.Context) error {
			_, err := picker.PickWait(ctx)
			return err
		},
		"Call": func(ctx context.Context) error {
			return picker.Call(ctx, 1, func(context.Context, callsheet.Pick) error { return nil })
		},
		"Watch": func(ctx context.Context) error {
			var last error
			times := 0
			for _, err := range client.Watch(ctx, "unread") {
				last, times = err, times+1
			}
			if times != 1 {
				t.Errorf("the loop over a cancelled watch ran %d times", times)
			}
			return last
		},
		"WatchServices": func(ctx context.Context) (last error) {
			for _, err := range client.WatchServices(ctx) {
				last = err
			}
			return last
		},
		"States": func(ctx context.Context) (last error) {
			for _, err := range registration.States(ctx) {
				last = err
			}
			return last
		},
	}
}

// silent returns what waits for a registry that does not answer, and what opens it.
func silent(t *testing.T) map[string]func(context.Context) error {
	memory, url := shared(t)
	client := connect(t, url, callsheet.WithTimeout(patience))
	registration, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 81})
	must(t, err)
	held, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80, Hold: true})
	must(t, err)
	picker, err := client.Picker(within(t), "nobody", callsheet.RoundRobin)
	must(t, err)
	memory.Slow(slow)
	t.Cleanup(func() { memory.Slow(0) })
	return verbs(t, client, held, registration, picker)
}

func TestCancelledCallsReturn(t *testing.T) {
	t.Parallel()
	for name, verb := range silent(t) {
		t.Run(name, func(t *testing.T) {
			var took []time.Duration
			for range 5 {
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- verb(ctx) }()
				select {
				case err := <-done:
					t.Fatalf("it did not wait: %v", err)
				case <-time.After(20 * time.Millisecond): // Under way.
				}
				began := time.Now()
				cancel()
				err := receive(t, done)
				took = append(took, time.Since(began))
				if !errors.Is(err, callsheet.ErrCancelled) || !errors.Is(err, context.Canceled) {
					t.Fatalf("not cancelled but: %v", err)
				}
			}
			// 10 ms are promised; others may have kept the processors for longer, but not five times.
			if slices.Min(took) > 50*time.Millisecond {
				t.Errorf("it took %v to return", took)
			}
		})
	}
}

func TestDeadlinesEndCalls(t *testing.T) {
	t.Parallel()
	for name, verb := range silent(t) {
		t.Run(name, func(t *testing.T) {
			const limit = 30 * time.Millisecond
			began := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			err := verb(ctx)
			if took := time.Since(began); took < limit || took > patience/2 {
				t.Errorf("it took %v", took)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("not its deadline but: %v", err)
			}
			// That there was nothing to pick says more than that it took too long.
			if !errors.Is(err, callsheet.ErrTimeout) && !errors.Is(err, callsheet.ErrNoInstances) {
				t.Errorf("no time-out but: %v", err)
			}
		})
	}
}

// all are the verbs of silent and those that a registry in memory never keeps waiting.
func all(t *testing.T) map[string]func(context.Context) error {
	all := silent(t)
	registration, err := connect(t, "memory:").Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
	must(t, err)
	all["Update"] = func(ctx context.Context) error { return registration.Update(ctx, callsheet.Update{Weight: 7}) }
	all["SetStatus"] = func(ctx context.Context) error {
		return registration.SetStatus(ctx, callsheet.StatusWarning, "busy")
	}
	all["Drain"] = registration.Drain
	return all
}

func TestContextsThatHaveEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("the user has gone home")
	cancel(why)
	for name, verb := range all(t) {
		t.Run(name, func(t *testing.T) {
			if err := verb(ctx); !errors.Is(err, callsheet.ErrCancelled) || !errors.Is(err, why) {
				t.Errorf("not cancelled but: %v", err)
			}
		})
	}
	if _, err := callsheet.Connect(ctx, "memory:"); !errors.Is(err, callsheet.ErrCancelled) {
		t.Errorf("not cancelled but: %v", err)
	}
}

func TestNilContexts(t *testing.T) {
	for name, verb := range all(t) {
		t.Run(name, func(t *testing.T) {
			//lint:ignore SA1012 on purpose
			if err := verb(nil); !errors.Is(err, callsheet.ErrInvalidArgument) {
				t.Errorf("not refused but: %v", err)
			}
		})
	}
	if _, err := callsheet.Connect(nil, "memory:"); !errors.Is(err, callsheet.ErrInvalidArgument) {
		t.Errorf("not refused but: %v", err)
	}
}

func TestACancelledDeregisterReturns(t *testing.T) {
	t.Parallel()
	client := connect(t, "memory:")
	registration, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80, Drain: time.Second})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- client.Deregister(ctx, registration.ID()) }()
	must(t, registration.Wait(within(t), callsheet.StateClosed))
	cancel()
	if err := receive(t, done); err != nil && !errors.Is(err, callsheet.ErrCancelled) {
		t.Error(err)
	}
}

func TestACancelledRegisterLeavesNothing(t *testing.T) {
	t.Parallel()
	memory, url := shared(t)
	client := connect(t, url, callsheet.WithTimeout(patience))
	memory.Slow(slow)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	_, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: 80})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	memory.Slow(0)
	eventually(t, "it is gone", func() bool { return client.Stats().Registrations == 0 })
	snapshot, err := client.Lookup(within(t), "billing")
	must(t, err)
	if snapshot.Len() != 0 {
		t.Error(ids(snapshot))
	}
}

func TestDeadlinesOfTheLibraryTellMore(t *testing.T) {
	memory, url := shared(t)
	memory.Unreachable(true)
	client := connect(t, url, callsheet.WithTimeout(100*time.Millisecond))
	registration, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	err = registration.Wait(ctx, callsheet.StateRegistered)
	if !errors.Is(err, callsheet.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, callsheet.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	// Reached already is success, whatever the time.
	must(t, registration.Wait(ctx, registration.State()))
}
