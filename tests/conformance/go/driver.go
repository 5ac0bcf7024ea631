// The driver of the Go package: each request of the engine as the call that it stands for.
package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"sync"
	"syscall"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

type object = map[string]any

var (
	background = context.Background()
	began      = time.Now()
	errnos     = map[string]syscall.Errno{"ECONNREFUSED": syscall.ECONNREFUSED, "ECONNRESET": syscall.ECONNRESET}
)

func seconds(number float64) time.Duration {
	return time.Duration(max(min(number*1e9, math.MaxInt64-1024), math.MinInt64))
}

// within is a context that ends after the request's timeout, or never.
func within(timeout *float64) (context.Context, context.CancelFunc) {
	if timeout == nil {
		return context.WithCancel(background)
	}
	return context.WithTimeout(background, seconds(*timeout))
}

// code is the code of an error, nil for none.
func code(err error) any {
	var failed *callsheet.Error
	if errors.As(err, &failed) {
		return failed.Code
	}
	return nil
}

// snapshot is a snapshot, and what changed since the one before it.
func snapshot(seen, previous *callsheet.Snapshot) object {
	ids := func(list []*callsheet.Instance) []string {
		ids := []string{}
		for _, instance := range list {
			ids = append(ids, instance.ID)
		}
		return ids
	}
	instances := []object{}
	for i := range seen.All() {
		metadata, tags := map[string]string{}, append([]string{}, i.Tags...)
		for key, value := range i.Metadata {
			metadata[key] = value
		}
		instances = append(instances, object{"id": i.ID, "service": i.Service, "address": i.Address, "port": i.Port,
			"scheme": i.Scheme, "tags": tags, "metadata": metadata, "weight": i.Weight, "zone": i.Zone,
			"version": i.Version, "status": i.Status, "url": i.URL()})
	}
	made := object{"revision": seen.Revision(), "freshness": seen.Freshness(), "source": seen.Source(), "changes": nil,
		"last_error": code(seen.LastError()), "age": seen.Age().Seconds(), "instances": instances}
	if previous != nil {
		changes := seen.ChangesSince(previous)
		made["changes"] = object{"added": ids(changes.Added), "removed": ids(changes.Removed), "changed": ids(changes.Changed)}
	}
	return made
}

// registration is a registration, and the states that it was in.
type registration struct {
	*callsheet.RegistrationHandle
	mu     sync.Mutex
	states []callsheet.State
}

// follow records every state from the current one on.
func follow(handle *callsheet.RegistrationHandle) *registration {
	r := &registration{RegistrationHandle: handle}
	next, _ := iter.Pull2(handle.States(background))
	record := func() bool {
		state, err, ok := next()
		if !ok || err != nil {
			return false
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.states = append(r.states, state)
		return true
	}
	// The current one is there at once.
	if record() {
		go func() {
			for record() {
			}
		}()
	}
	return r
}

// read is what a loop over a watch was given.
type read struct {
	value object
	err   error
}

// reader is a watch, read in a goroutine of its own, so that waiting for the next one can end at a deadline.
type reader struct {
	wanted chan struct{}
	values chan read
	asked  bool
	cancel context.CancelFunc
}

func newReader[T any](watch func(context.Context) iter.Seq2[T, error], convert func(T) object) (*reader, error) {
	ctx, cancel := context.WithCancel(background)
	// A loop is told of wrong arguments first, so a context that has ended shows them without waiting.
	over, end := context.WithCancel(background)
	end()
	for _, err := range watch(over) {
		if !errors.Is(err, callsheet.ErrCancelled) {
			cancel()
			return nil, err
		}
	}
	r := &reader{make(chan struct{}), make(chan read, 1), false, cancel}
	next, _ := iter.Pull2(watch(ctx))
	go func() {
		for range r.wanted {
			value, err, ok := next()
			if !ok || errors.Is(err, callsheet.ErrCancelled) {
				r.values <- read{object{"ended": true}, nil}
			} else if err != nil {
				r.values <- read{nil, err}
			} else {
				r.values <- read{convert(value), nil}
			}
		}
	}()
	return r, nil
}

func (r *reader) next(timeout float64) (object, bool, error) {
	if !r.asked {
		r.wanted <- struct{}{}
		r.asked = true
	}
	// What is there already has to come from the goroutine, too.
	patience := time.After(max(seconds(timeout), 50*time.Millisecond))
	select {
	case read := <-r.values:
		r.asked = false
		return read.value, true, read.err
	case <-patience:
		return nil, false, nil
	}
}

// callback reads a channel as Go's form of a callback, and records what came.
type callback struct {
	mu     sync.Mutex
	calls  []object
	closed any
	cancel context.CancelFunc
	// Taken for each call.
	calling sync.Mutex
}

func (c *callback) serve(ctx context.Context, ch <-chan *callsheet.Snapshot, client *callsheet.Client, closes string) {
	var last *callsheet.Snapshot
	for {
		select {
		case <-ctx.Done():
			return
		case seen := <-ch:
			c.calling.Lock()
			if ctx.Err() != nil {
				c.calling.Unlock()
				return
			}
			call := object{"began": time.Since(began), "ended": nil, "snapshot": snapshot(seen, last)}
			last = seen
			c.mu.Lock()
			first := len(c.calls) == 0
			c.calls = append(c.calls, call)
			c.mu.Unlock()
			if first && closes == "client" {
				if err := client.Close(); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			} else if first && closes != "" {
				c.end()
			}
			c.mu.Lock()
			call["ended"] = time.Since(began)
			c.mu.Unlock()
			c.calling.Unlock()
		}
	}
}

func (c *callback) end() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == nil {
		c.closed = time.Since(began)
	}
}

func (c *callback) close() {
	c.cancel()
	// A call that runs comes to its end.
	c.calling.Lock()
	defer c.calling.Unlock()
	c.end()
}
