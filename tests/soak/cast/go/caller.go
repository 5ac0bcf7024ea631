package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

const (
	pause = 50 * time.Millisecond
	// report is how many calls there are between two reports of their number.
	report = 20
)

// caller calls whom the picker names, twenty times a second.
type caller struct {
	picker *callsheet.Picker
	calls  int
	stop   chan struct{}
	ended  chan struct{}
}

func call(client *callsheet.Client, service string) (*caller, error) {
	picker, err := client.Picker(context.Background(), service, callsheet.P2C)
	if err != nil {
		return nil, err
	}
	c := &caller{picker: picker, stop: make(chan struct{}), ended: make(chan struct{})}
	go c.work()
	return c, nil
}

func (c *caller) end() error {
	close(c.stop)
	<-c.ended
	return nil
}

func (c *caller) work() {
	defer close(c.ended)
	defer func() { say(words{"calls": c.calls}) }()
	for ticks := time.NewTicker(pause); ; {
		select {
		case <-c.stop:
			return
		case <-ticks.C:
		}
		c.call()
		if c.calls%report == 0 {
			say(words{"calls": c.calls})
			// So that what it holds is measured, and not how much garbage Go lets lie.
			debug.FreeOSMemory()
		}
	}
}

func (c *caller) call() {
	tried := []string{}
	began := now()
	c.calls++
	err := c.picker.Call(context.Background(), 2, func(_ context.Context, pick callsheet.Pick) error {
		tried = append(tried, pick.ID)
		began := now()
		err := ask(pick)
		if err != nil {
			say(words{"attempt": pick.ID, "began": began, "ended": now(), "why": err.Error()})
		}
		return err
	})
	if err != nil {
		say(words{"call": tried, "began": began, "ended": now(), "why": err.Error()})
	}
}

func ask(pick callsheet.Pick) error {
	connection, err := net.Dial("tcp", net.JoinHostPort(pick.Address, strconv.Itoa(int(pick.Port))))
	if err != nil {
		return err
	}
	defer connection.Close()
	answer, err := io.ReadAll(connection)
	if err != nil {
		return err
	}
	if len(answer) == 0 {
		return errors.New("cut off")
	}
	if who := strings.TrimSpace(string(answer)); who != pick.ID {
		return fmt.Errorf("answered by %q", who)
	}
	return nil
}
