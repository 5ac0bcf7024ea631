package callsheet_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

func TestTheLifeOfARegistration(t *testing.T) {
	registries(t, func(t *testing.T, url string) {
		client := connect(t, url)
		registration, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80, Hold: true})
		must(t, err)
		told := make(chan callsheet.State, 64)
		go func() {
			for state, err := range registration.States(within(t)) {
				if err != nil {
					t.Error(err)
				}
				told <- state
			}
			close(told)
		}()
		if state := receive(t, told); state != callsheet.StatePending {
			t.Error(state)
		}
		must(t, registration.Ready(within(t)))
		must(t, registration.Wait(within(t), callsheet.StateRegistered))
		if registration.State() != callsheet.StateRegistered || registration.LastError() != nil || registration.ID() != "127.0.0.1:80" {
			t.Error(registration.State(), registration.LastError(), registration.ID())
		}
		must(t, registration.Update(within(t), callsheet.Update{Tags: []string{"v2"}, Metadata: map[string]string{"k": "v"}, Weight: 3}))
		must(t, registration.SetStatus(within(t), callsheet.StatusWarning, "busy"))
		other := connect(t, url)
		found, err := other.Lookup(within(t), "billing", callsheet.Healthy(false))
		must(t, err)
		if one := found.At(0); fmt.Sprintf("%v %v %v %v", one.Tags, one.Metadata, one.Weight, one.Status) != "[v2] map[k:v] 3 warning" {
			t.Error(one, one.Tags, one.Metadata, one.Weight)
		}
		must(t, registration.Update(within(t), callsheet.Update{Tags: []string{}, Metadata: map[string]string{}}))
		must(t, registration.SetStatus(within(t), callsheet.StatusPassing, ""))
		found, err = connect(t, url).Lookup(within(t), "billing")
		must(t, err)
		if one := found.At(0); len(one.Tags) > 0 || len(one.Metadata) > 0 || one.Weight != 3 {
			t.Error(one, one.Tags, one.Metadata, one.Weight)
		}
		must(t, registration.Drain(within(t)))
		found, err = connect(t, url).Lookup(within(t), "billing")
		if must(t, err); found.Len() != 0 {
			t.Error(found)
		}
		must(t, registration.Close())
		must(t, registration.Close())
		must(t, registration.Wait(within(t), callsheet.StateClosed))
		if err := registration.Update(within(t), callsheet.Update{Weight: 4}); !errors.Is(err, callsheet.ErrClosed) {
			t.Error(err)
		}
		if err := registration.Beat(); !errors.Is(err, callsheet.ErrClosed) {
			t.Error(err)
		}
		var rest []callsheet.State
		for state := range told {
			rest = append(rest, state)
		}
		if fmt.Sprint(rest) != "[registered closed]" {
			t.Error(rest)
		}
	})
}

func TestRegistrationsAreFoundById(t *testing.T) {
	client := connect(t, "memory:")
	made, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
	must(t, err)
	found, err := client.Registration(made.ID())
	must(t, err)
	if found.ID() != made.ID() || found.State() != callsheet.StateRegistered {
		t.Error(found.ID(), found.State())
	}
	if _, err := client.Registration("nobody"); !errors.Is(err, callsheet.ErrNotFound) {
		t.Error(err)
	}
	if _, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80}); !errors.Is(err, callsheet.ErrConflict) {
		t.Error(err)
	}
	must(t, client.Deregister(within(t), made.ID()))
	if made.State() != callsheet.StateClosed {
		t.Error(made.State())
	}
	if err := client.Deregister(within(t), made.ID()); !errors.Is(err, callsheet.ErrNotFound) {
		t.Error(err)
	}
}

func TestARegistrationOutlivesItsRegistry(t *testing.T) {
	t.Parallel()
	memory, url := shared(t)
	client := connect(t, url, callsheet.WithTTL(3*time.Second), callsheet.WithTimeout(200*time.Millisecond))
	memory.Unreachable(true)
	registration, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
	must(t, err)
	if registration.State() != callsheet.StatePending || !errors.Is(registration.LastError(), callsheet.ErrUnavailable) {
		t.Error(registration.State(), registration.LastError())
	}
	memory.Unreachable(false)
	must(t, registration.Wait(within(t), callsheet.StateRegistered))
	must(t, memory.Delete("billing", registration.ID()))
	must(t, registration.Wait(within(t), callsheet.StateLost))
	must(t, registration.Wait(within(t), callsheet.StateRegistered))
	memory.Refuse(true)
	memory.LoseLeases()
	must(t, registration.Wait(within(t), callsheet.StateRefused))
	if !errors.Is(registration.LastError(), callsheet.ErrPermissionDenied) {
		t.Error(registration.LastError())
	}
	memory.Refuse(false)
}

func TestClosingTheClientClosesItsRegistrations(t *testing.T) {
	registries(t, func(t *testing.T, url string) {
		client, other := connect(t, url), connect(t, url)
		registration, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
		must(t, err)
		states := make(chan []callsheet.State, 1)
		ready := make(chan struct{}, 64)
		go func() {
			var all []callsheet.State
			for state, err := range registration.States(within(t)) {
				if err != nil {
					t.Error(err)
				}
				all = append(all, state)
				ready <- struct{}{}
			}
			states <- all
		}()
		receive(t, ready)
		must(t, client.Close())
		if seen := receive(t, states); !slices.Equal(seen, []callsheet.State{callsheet.StateRegistered, callsheet.StateClosed}) {
			t.Error(seen)
		}
		if registration.State() != callsheet.StateClosed || registration.ID() != "127.0.0.1:80" || registration.LastError() != nil {
			t.Error(registration.State(), registration.ID(), registration.LastError())
		}
		must(t, registration.Close())
		must(t, registration.Wait(within(t), callsheet.StateClosed))
		for state, err := range registration.States(within(t)) {
			if must(t, err); state != callsheet.StateClosed {
				t.Error(state)
			}
		}
		found, err := other.Lookup(within(t), "billing")
		if must(t, err); found.Len() != 0 {
			t.Error(found)
		}
	})
}

func TestADroppedHandleGoesOn(t *testing.T) {
	client := connect(t, "memory:")
	func() {
		_, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: 80})
		must(t, err)
	}()
	collect()
	if stats := client.Stats(); stats.Registered != 1 {
		t.Error(stats)
	}
}

func TestChecks(t *testing.T) {
	client := connect(t, "memory:")
	healthy := atomic.Bool{}
	healthy.Store(true)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/grpc.health.v1.Health/Check" && healthy.Load() {
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, 1}) // SERVING
			w.Header().Set("Grpc-Status", "0")
		} else if r.URL.Path != "/health" || !healthy.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	port := server.Listener.Addr().(*net.TCPAddr).Port
	often := 100 * time.Millisecond
	registrations := map[string]*callsheet.RegistrationHandle{}
	for id, check := range map[string]callsheet.Check{
		"http":      callsheet.HTTP("/health").Interval(often).Timeout(patience),
		"grpc":      callsheet.GRPC("").Interval(often).Timeout(patience),
		"heartbeat": callsheet.Heartbeat(patience).DeregisterCriticalAfter(time.Minute),
		"tcp":       callsheet.TCP().Interval(often).At("127.0.0.1", listener.Addr().(*net.TCPAddr).Port),
		"ttl":       callsheet.TTL(),
		"none":      {},
	} {
		registrations[id], err = client.Register(within(t), callsheet.Registration{Service: "billing", Address: "127.0.0.1", Port: port, ID: id, Check: check})
		must(t, err)
	}
	must(t, registrations["heartbeat"].Beat())
	_, err = client.WaitFor(within(t), "billing", 6)
	must(t, err)
	healthy.Store(false)
	listener.Close()
	eventually(t, "two are left", func() bool {
		snapshot, err := client.Lookup(within(t), "billing")
		must(t, err)
		return slices.Equal(ids(snapshot), []string{"heartbeat", "none", "ttl"})
	})
}

func TestItWaitsForItsPort(t *testing.T) {
	client := connect(t, "memory:", callsheet.WithTimeout(200*time.Millisecond))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	registration, err := client.Register(within(t), callsheet.Registration{Service: "billing", Port: port, WaitForPort: true})
	must(t, err)
	if registration.State() != callsheet.StatePending {
		t.Error(registration.State())
	}
	listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	must(t, err)
	defer listener.Close()
	must(t, registration.Wait(within(t), callsheet.StateRegistered))
}
