// The Go member of the cast: cyd NAME. What it says is told in ada.py.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

const callers = 2

func say(words ...any) { fmt.Println(words...) }

// calls counts what became of the calls.
type calls struct {
	sync.Mutex
	called                    map[string]int
	answered, retried, failed int
}

func (c *calls) tell() {
	c.Lock()
	defer c.Unlock()
	say("calls", c.answered, c.retried, c.failed)
}

func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}

// call calls whom the picker names, until stop is closed.
func (c *calls) call(ctx context.Context, picker *callsheet.Picker, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		var other string
		attempts := 0
		// A GET may be repeated, so a call that was cut, wherever, is worth a second attempt as well.
		again := func(error) bool { return true }
		err := picker.CallIf(ctx, 2, again, func(ctx context.Context, pick callsheet.Pick) (err error) {
			attempts++
			other, err = get(ctx, pick.URL())
			return err
		})
		c.Lock()
		if err != nil {
			c.failed++
			say("failed", err)
		} else {
			c.called[other]++
			c.answered++
			if attempts > 1 {
				c.retried++
			}
		}
		c.Unlock()
	}
}

func run(name string) error {
	ctx := context.Background()
	terminated, done := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer done()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := func(answer http.ResponseWriter, _ *http.Request) {
		time.Sleep(5 * time.Millisecond) // the work of a call
		fmt.Fprintln(answer, name)
	}
	go http.Serve(listener, http.HandlerFunc(handler))

	client, err := callsheet.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer client.Close()
	registration, err := client.Register(ctx, callsheet.Registration{
		Service:  "greeter",
		Port:     listener.Addr().(*net.TCPAddr).Port,
		Metadata: map[string]string{"name": name, "in": "Go"},
		Hold:     true,
		Drain:    500 * time.Millisecond, // for calls that were already on their way
	})
	if err != nil {
		return err
	}
	say("joining")
	if err := registration.Ready(ctx); err != nil {
		return err
	}
	picker, err := client.Picker(ctx, "greeter", callsheet.P2C)
	if err != nil {
		return err
	}
	counts := calls{called: map[string]int{}}
	stop := make(chan struct{})
	var calling sync.WaitGroup
	for range callers {
		calling.Add(1)
		go func() {
			defer calling.Done()
			counts.call(ctx, picker, stop)
		}()
	}
	for ticks := time.NewTicker(100 * time.Millisecond); terminated.Err() == nil; {
		select {
		case <-ticks.C:
			counts.tell()
		case <-terminated.Done():
		}
	}
	close(stop)
	calling.Wait()
	counts.tell()
	say("leaving")
	if err := registration.Close(); err != nil {
		return err
	}
	for other, times := range counts.called {
		say("called", other, times)
	}
	return nil
}

func main() {
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}
