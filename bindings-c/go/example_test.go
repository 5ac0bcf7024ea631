package callsheet_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

var ctx = context.Background()

// serve starts an HTTP server and returns its port.
func serve() (*httptest.Server, int) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	number, _ := strconv.Atoi(port)
	return server, number
}

func Example() {
	server, port := serve()
	defer server.Close()
	program := func() error {
		client, err := callsheet.Connect(ctx, "memory:", callsheet.WithUser("app", "secret"))
		if err != nil {
			return err
		}
		defer client.Close()

		registration, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: port})
		if err != nil {
			return err
		}
		defer registration.Close()

		for snapshot, err := range client.Watch(ctx, "billing") {
			if err != nil {
				return err
			}
			for instance := range snapshot.All() {
				fmt.Println(instance.Addr() == server.Listener.Addr().String(), instance.ID == instance.Addr())
			}
			break
		}

		picker, err := client.Picker(ctx, "billing", callsheet.P2C)
		if err != nil {
			return err
		}
		pick, err := picker.Pick()
		if err != nil {
			return err
		}
		response, err := http.Get(pick.URL() + "/invoices")
		pick.Done(err)
		if err != nil {
			return err
		}
		fmt.Println(response.Status)
		return response.Body.Close()
	}
	if err := program(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// true true
	// 200 OK
}

func ExampleClient_Register() {
	client, err := callsheet.Connect(ctx, "memory:", callsheet.WithTTL(10*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	registration, err := client.Register(ctx, callsheet.Registration{
		Service:  "billing",
		Port:     8080,
		Tags:     []string{"v2"},
		Metadata: map[string]string{"team": "pay"},
		Check:    callsheet.Heartbeat(5 * time.Second),
		Hold:     true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Close()
	fmt.Println(registration.State())
	if err := registration.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(registration.State(), registration.ID(), registration.LastError())
	// Output:
	// pending
	// registered 127.0.0.1:8080 <nil>
}

func ExampleRegistrationHandle_States() {
	client, err := callsheet.Connect(ctx, "memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	registration, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: 8080})
	if err != nil {
		log.Fatal(err)
	}
	for state, err := range registration.States(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(state)
		if state == callsheet.StateRegistered {
			go registration.Close()
		}
	}
	// Output:
	// registered
	// closed
}

func ExampleClient_Lookup() {
	client, err := callsheet.Connect(ctx, "memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for port, tag := range map[int]string{1: "v1", 2: "v2"} {
		if _, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: port, Tags: []string{tag}}); err != nil {
			log.Fatal(err)
		}
	}
	snapshot, err := client.Lookup(ctx, "billing", callsheet.Tags("v2"))
	if err != nil {
		log.Fatal(err)
	}
	for instance := range snapshot.All() {
		fmt.Println(instance.URL(), instance.Tags, snapshot.Freshness())
	}
	// Output:
	// http://127.0.0.1:2 [v2] live
}

func ExampleClient_WatchChan() {
	client, err := callsheet.Connect(ctx, "memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	snapshots := make(chan *callsheet.Snapshot)
	if err := client.WatchChan(ctx, "billing", snapshots); err != nil {
		log.Fatal(err)
	}
	fmt.Println((<-snapshots).Len())
	if _, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: 8080}); err != nil {
		log.Fatal(err)
	}
	fmt.Println((<-snapshots).Len())
	// Output:
	// 0
	// 1
}

func ExamplePicker_Call() {
	server, port := serve()
	defer server.Close()
	client, err := callsheet.Connect(ctx, "memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	// Nobody listens at the first.
	for _, port := range []int{1, port} {
		if _, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: port}); err != nil {
			log.Fatal(err)
		}
	}
	picker, err := client.Picker(ctx, "billing", callsheet.RoundRobin)
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		err = picker.Call(ctx, 2, func(ctx context.Context, pick callsheet.Pick) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, pick.URL()+"/invoices", nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			fmt.Println(response.Status)
			return response.Body.Close()
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 200 OK
	// 200 OK
}

func ExampleAsServiceDiscovery() {
	client, err := callsheet.Connect(ctx, "memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var discovery callsheet.ServiceDiscovery = callsheet.AsServiceDiscovery(client)
	lists := make(chan []*callsheet.ServiceInstance)
	if err := discovery.Watch("billing", lists); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(<-lists))
	err = discovery.Register(&callsheet.ServiceInstance{ID: "billing-1", Name: "billing", Address: "10.0.0.7", Port: 8080})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println((<-lists)[0].ID)
	list, err := discovery.GetInstances("billing")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(list[0].Address, list[0].Port)
	fmt.Println(discovery.Deregister("billing-1"), len(<-lists))
	// Output:
	// 0
	// billing-1
	// 10.0.0.7 8080
	// <nil> 0
}
