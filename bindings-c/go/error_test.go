package callsheet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// sentinels are the codes and what errors of them match.
var sentinels = map[callsheet.Code]error{
	callsheet.CodeInvalidArgument:  callsheet.ErrInvalidArgument,
	callsheet.CodeConfig:           callsheet.ErrConfig,
	callsheet.CodeNotFound:         callsheet.ErrNotFound,
	callsheet.CodeNoInstances:      callsheet.ErrNoInstances,
	callsheet.CodeUnavailable:      callsheet.ErrUnavailable,
	callsheet.CodeTimeout:          callsheet.ErrTimeout,
	callsheet.CodeUnauthenticated:  callsheet.ErrUnauthenticated,
	callsheet.CodePermissionDenied: callsheet.ErrPermissionDenied,
	callsheet.CodeConflict:         callsheet.ErrConflict,
	callsheet.CodeClosed:           callsheet.ErrClosed,
	callsheet.CodeCancelled:        callsheet.ErrCancelled,
	callsheet.CodeForked:           callsheet.ErrForked,
	callsheet.CodeProtocol:         callsheet.ErrProtocol,
	callsheet.CodeInternal:         callsheet.ErrInternal,
}

func TestEachCodeMatchesItsOwnSentinel(t *testing.T) {
	for code := range sentinels {
		err := error(&callsheet.Error{Code: code})
		for other, sentinel := range sentinels {
			if errors.Is(err, sentinel) != (code == other) {
				t.Errorf("%s and %v", code, sentinel)
			}
		}
	}
}

// TestCodesOfARegistryOfToday has each code that one can cause come from the library.
func TestCodesOfARegistryOfToday(t *testing.T) {
	memory, url := shared(t)
	client := connect(t, url, callsheet.WithTimeout(time.Second))
	ctx := within(t)
	_, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: 80})
	must(t, err)
	corrupt := filepath.Join(t.TempDir(), "registry.db")
	must(t, os.WriteFile(corrupt, make([]byte, 8192), 0o600))
	for code, call := range map[callsheet.Code]func() error{
		callsheet.CodeInvalidArgument: func() error { _, err := client.Lookup(ctx, "a/b"); return err },
		callsheet.CodeConfig:          func() error { _, err := callsheet.Connect(ctx, "nonsense"); return err },
		callsheet.CodeNotFound:        func() error { return client.Deregister(ctx, "nobody") },
		callsheet.CodeNoInstances: func() error {
			picker, err := client.Picker(ctx, "nobody", callsheet.P2C)
			must(t, err)
			_, err = picker.Pick()
			return err
		},
		callsheet.CodeConflict: func() error {
			_, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: 80})
			return err
		},
		callsheet.CodeUnavailable: func() error {
			memory.Unreachable(true)
			defer memory.Unreachable(false)
			return client.Ping(ctx)
		},
		callsheet.CodePermissionDenied: func() error {
			memory.Refuse(true)
			defer memory.Refuse(false)
			return client.Ping(ctx)
		},
		callsheet.CodeTimeout: func() error {
			memory.Slow(5 * time.Second)
			defer memory.Slow(0)
			return client.Ping(ctx)
		},
		callsheet.CodeProtocol: func() error {
			broken := connect(t, "local://"+corrupt, callsheet.WithTimeout(time.Second))
			registration, err := broken.Register(ctx, callsheet.Registration{Service: "billing", Port: 80})
			must(t, err)
			return registration.LastError()
		},
		callsheet.CodeClosed: func() error {
			closed := connect(t, "memory:")
			must(t, closed.Close())
			return closed.Ping(ctx)
		},
	} {
		err := call()
		var failed *callsheet.Error
		if !errors.As(err, &failed) || failed.Code != code || !errors.Is(err, sentinels[code]) || failed.Message == "" {
			t.Errorf("%s: %v", code, err)
		}
		retryable := code == callsheet.CodeUnavailable || code == callsheet.CodeTimeout || code == callsheet.CodeNoInstances
		if failed != nil && failed.Retryable != retryable {
			t.Errorf("%s: retryable is %v", code, failed.Retryable)
		}
	}
}

func TestCausesAreKept(t *testing.T) {
	// Whoever one is, nothing can be made there.
	client := connect(t, "local:///proc/nowhere/registry.db", callsheet.WithTimeout(time.Second))
	err := client.Ping(within(t))
	var errno syscall.Errno
	if !errors.As(err, &errno) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v has no errno", err)
	}
	var failed, cause *callsheet.Error
	memory, url := shared(t)
	memory.Unreachable(true)
	registration, err := connect(t, url, callsheet.WithTimeout(time.Second)).Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
	must(t, err)
	ctx, cancel := context.WithTimeout(within(t), time.Millisecond)
	defer cancel()
	err = registration.Wait(ctx, callsheet.StateRegistered)
	if !errors.As(err, &failed) || !errors.As(errors.Unwrap(failed), &cause) || failed.Code != callsheet.CodeTimeout || cause.Code != callsheet.CodeUnavailable {
		t.Errorf("%v", err)
	}
}
