package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

// driver is what is open, by name.
type driver struct {
	things map[string]any
	held   []callsheet.Pick
	memory *callsheet.Memory
}

func thing[T any](d *driver, name string) T {
	found, ok := d.things[name].(T)
	if !ok {
		panic(fmt.Sprintf("there is no %q of this kind", name))
	}
	return found
}

func (d *driver) reset() {
	for _, thing := range d.things {
		if client, ok := thing.(*callsheet.Client); ok {
			_ = client.Close()
		}
	}
	*d = driver{things: map[string]any{}}
}

// keep keeps what was opened.
func (d *driver) keep(r request, opened any, err error) (object, error) {
	if err == nil {
		d.things[r.As] = opened
	}
	return nil, err
}

// do does what is asked.
func (d *driver) do(r request) (object, error) {
	switch r.Do {
	case "reset":
		d.reset()
	case "connect":
		url := ""
		if r.URL != nil {
			url = *r.URL
		}
		client, err := callsheet.Connect(background, url, options(r.Options)...)
		return d.keep(r, client, err)
	case "ping":
		return nil, thing[*callsheet.Client](d, r.Of).Ping(background)
	case "stats":
		var stats object
		encoded, _ := json.Marshal(thing[*callsheet.Client](d, r.Of).Stats())
		return stats, json.Unmarshal(encoded, &stats)
	case "close_on_signals":
		closeOnSignals(thing[*callsheet.Client](d, r.Of))
	case "register":
		with, err := r.With.registration()
		if err != nil {
			return nil, err
		}
		handle, err := thing[*callsheet.Client](d, r.Of).Register(background, with)
		if err == nil {
			d.things[r.As] = follow(handle)
		}
		return nil, err
	case "deregister":
		return nil, thing[*callsheet.Client](d, r.Of).Deregister(background, r.ID)
	case "ready":
		ctx, cancel := within(r.Timeout)
		defer cancel()
		return nil, thing[*registration](d, r.Of).Ready(ctx)
	case "wait":
		ctx, cancel := within(r.Timeout)
		defer cancel()
		return nil, thing[*registration](d, r.Of).Wait(ctx, callsheet.State(r.State))
	case "update":
		update := callsheet.Update{Tags: r.With.Tags, Metadata: r.With.Metadata}
		if r.With.Weight != nil {
			update.Weight = *r.With.Weight
		}
		return nil, thing[*registration](d, r.Of).Update(background, update)
	case "set_status":
		return nil, thing[*registration](d, r.Of).SetStatus(background, callsheet.Status(r.Status), r.Note)
	case "drain":
		return nil, thing[*registration](d, r.Of).Drain(background)
	case "beat":
		return nil, thing[*registration](d, r.Of).Beat()
	case "state":
		it := thing[*registration](d, r.Of)
		it.mu.Lock()
		defer it.mu.Unlock()
		return object{"state": it.State(), "id": it.ID(), "last_error": code(it.LastError()), "states": append([]callsheet.State{}, it.states...)}, nil
	case "lookup":
		seen, err := thing[*callsheet.Client](d, r.Of).Lookup(background, r.Service, r.Filter.filters()...)
		if err != nil {
			return nil, err
		}
		return snapshot(seen, nil), nil
	case "wait_for":
		count := 1
		if r.Count != nil {
			count = *r.Count
		}
		ctx, cancel := within(r.Timeout)
		defer cancel()
		seen, err := thing[*callsheet.Client](d, r.Of).WaitFor(ctx, r.Service, count, r.Filter.filters()...)
		if err != nil {
			return nil, err
		}
		return snapshot(seen, nil), nil
	case "services":
		names, err := thing[*callsheet.Client](d, r.Of).Services(background)
		return object{"names": names}, err
	case "watch":
		watch, err := d.watch(thing[*callsheet.Client](d, r.Of), r)
		return d.keep(r, watch, err)
	case "watch_services":
		watch, err := newReader(thing[*callsheet.Client](d, r.Of).WatchServices, func(names []string) object {
			return object{"names": names}
		})
		return d.keep(r, watch, err)
	case "on_change":
		return nil, d.onChange(r)
	case "called":
		it := thing[*callback](d, r.Of)
		it.mu.Lock()
		defer it.mu.Unlock()
		calls := []object{}
		for _, call := range it.calls {
			calls = append(calls, object{"began": call["began"], "ended": call["ended"], "snapshot": call["snapshot"]})
		}
		return object{"calls": calls, "closed": it.closed}, nil
	case "picker":
		policy := callsheet.P2C
		if r.Policy != nil {
			policy = *r.Policy
		}
		options, err := pickerOptions(r.Filter, r.Options)
		if err != nil {
			return nil, err
		}
		picker, err := thing[*callsheet.Client](d, r.Of).Picker(background, r.Service, policy, options...)
		return d.keep(r, picker, err)
	case "ejected":
		return object{"ids": thing[*callsheet.Picker](d, r.Of).Ejected()}, nil
	case "pick":
		return d.pick(r)
	case "done":
		failed := map[string]error{"ok": nil, "failed": errors.New("failed"), "cancelled": context.Canceled}
		thing[callsheet.Pick](d, r.Of).Done(failed[r.Outcome])
	case "spread":
		return d.spread(r)
	case "call":
		return d.call(r)
	case "close":
		switch it := d.things[r.Of].(type) {
		case *callsheet.Client:
			return nil, it.Close()
		case *registration:
			return nil, it.Close()
		case *reader:
			it.cancel()
		case *callback:
			it.close()
		default:
			return nil, fmt.Errorf("%q can't be closed", r.Of)
		}
	case "fault":
		return nil, d.fault(r)
	default:
		return nil, fmt.Errorf("there is no verb %q", r.Do)
	}
	return nil, nil
}

func (d *driver) watch(client *callsheet.Client, r request) (*reader, error) {
	var previous *callsheet.Snapshot
	return newReader(func(ctx context.Context) iter.Seq2[*callsheet.Snapshot, error] {
		return client.Watch(ctx, r.Service, r.Filter.filters()...)
	}, func(seen *callsheet.Snapshot) object {
		made := snapshot(seen, previous)
		made["skipped"] = seen.Skipped() > 0
		previous = seen
		return made
	})
}

func (d *driver) onChange(r request) error {
	client := thing[*callsheet.Client](d, r.Of)
	ctx, cancel := context.WithCancel(background)
	ch := make(chan *callsheet.Snapshot)
	if err := client.WatchChan(ctx, r.Service, ch, r.Filter.filters()...); err != nil {
		cancel()
		return err
	}
	made := &callback{cancel: cancel}
	d.things[r.As] = made
	go made.serve(ctx, ch, client, r.Closes)
	return nil
}

func (d *driver) pick(r request) (object, error) {
	picker := thing[*callsheet.Picker](d, r.Of)
	pick, err := callsheet.Pick{}, error(nil)
	ctx, cancel := within(r.Timeout)
	defer cancel()
	switch {
	case r.Timeout == nil && r.Key == nil:
		pick, err = picker.Pick()
	case r.Timeout == nil:
		pick, err = picker.PickKey(*r.Key)
	case r.Key == nil:
		pick, err = picker.PickWait(ctx)
	default:
		pick, err = picker.PickKeyWait(ctx, *r.Key)
	}
	if err != nil {
		return nil, err
	}
	d.things[r.As] = pick
	return object{"id": pick.ID, "address": pick.Address, "port": pick.Port, "url": pick.URL()}, nil
}

func (d *driver) spread(r request) (object, error) {
	picked := []string{}
	for range r.Picks {
		pick, err := thing[*callsheet.Picker](d, r.Of).Pick()
		if err != nil {
			return nil, err
		}
		picked = append(picked, pick.ID)
		switch {
		case r.Hold:
			d.held = append(d.held, pick)
		case slices.Contains(r.Failed, pick.ID):
			pick.Done(errors.New("failed"))
		default:
			pick.Done(nil)
		}
	}
	return object{"picked": picked}, nil
}

func (d *driver) call(r request) (object, error) {
	calls, last := 0, ""
	err := thing[*callsheet.Picker](d, r.Of).Call(background, r.Attempts, func(_ context.Context, pick callsheet.Pick) error {
		calls, last = calls+1, pick.ID
		if errno, fails := errnos[r.Fails[pick.ID]]; fails {
			return fmt.Errorf("calling %s: %w", pick.URL(), errno)
		}
		return nil
	})
	for name, errno := range errnos {
		if errors.Is(err, errno) {
			return object{"calls": calls, "failed": name}, nil
		}
	}
	return object{"calls": calls, "id": last}, err
}

func (d *driver) fault(r request) error {
	// Kept, since a registry in memory lives as long as something knows it.
	if d.memory == nil {
		memory, err := callsheet.OpenMemory(strings.TrimPrefix(*r.URL, "memory:"))
		if err != nil {
			return err
		}
		d.memory = memory
	}
	switch r.Kind {
	case "unreachable":
		d.memory.Unreachable(r.On)
	case "refuse":
		d.memory.Refuse(r.On)
	case "slow":
		d.memory.Slow(seconds(r.Seconds))
	case "empty":
		d.memory.AnswerEmpty(r.On)
	case "lists":
		d.memory.AnswerWithLists(r.On)
	case "lose_leases":
		d.memory.LoseLeases()
	case "compact":
		d.memory.Compact()
	case "identity":
		d.memory.ChangeIdentity()
	case "wipe":
		d.memory.Wipe()
	case "put":
		return d.memory.Put(callsheet.Registration{Service: r.Service, Address: "10.9.9.9", Port: 9999, ID: r.ID})
	case "delete":
		return d.memory.Delete(r.Service, r.ID)
	default:
		return fmt.Errorf("there is no fault %q", r.Kind)
	}
	return nil
}

// closeOnSignals is how a Go program closes on signals: it waits for them itself.
func closeOnSignals(client *callsheet.Client) {
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		it := (<-came).(syscall.Signal)
		if err := client.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		signal.Reset(it)
		_ = syscall.Kill(os.Getpid(), it)
	}()
}

func (d *driver) answer(line []byte) (answer object) {
	defer func() {
		if panicked := recover(); panicked != nil {
			answer = object{"broken": fmt.Sprint(panicked)}
		}
	}()
	var r request
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return object{"broken": err.Error()}
	}
	var ok object
	var err error
	if r.Do == "next" {
		var came bool
		if ok, came, err = thing[*reader](d, r.Of).next(*r.Timeout); !came {
			return object{"timeout": true}
		}
	} else {
		ok, err = d.do(r)
	}
	var failed *callsheet.Error
	switch {
	case errors.As(err, &failed):
		return object{"error": object{"code": failed.Code, "message": failed.Error(), "retryable": failed.Retryable}}
	case err != nil:
		return object{"broken": err.Error()}
	case ok == nil:
		ok = object{}
	}
	return object{"ok": ok}
}

func main() {
	d := &driver{things: map[string]any{}}
	lines, out := bufio.NewReaderSize(os.Stdin, 1<<16), json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := out.Encode(d.answer(line)); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
