package callsheet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	callsheet "github.com/callsheet/callsheet/bindings-c/go"
)

func TestBadRegistrationsAreRefused(t *testing.T) {
	client := connect(t, "memory:")
	long := strings.Repeat("x", 1<<20)
	for name, one := range map[string]callsheet.Registration{
		"nothing":            {},
		"no service":         {Port: 80},
		"port 0":             {Service: "billing"},
		"port -1":            {Service: "billing", Port: -1},
		"port 65536":         {Service: "billing", Port: 65536},
		"a slash":            {Service: "a/b", Port: 80},
		"a NUL":              {Service: "a\x00b", Port: 80},
		"no UTF-8":           {Service: "a\xff", Port: 80},
		"address with NUL":   {Service: "billing", Port: 80, Address: "h\x00"},
		"id with NUL":        {Service: "billing", Port: 80, ID: "i\x00"},
		"id not UTF-8":       {Service: "billing", Port: 80, ID: "\xc3\x28"},
		"scheme with NUL":    {Service: "billing", Port: 80, Scheme: "\x00"},
		"tag with NUL":       {Service: "billing", Port: 80, Tags: []string{"ok", "t\x00"}},
		"tag not UTF-8":      {Service: "billing", Port: 80, Tags: []string{"\xff"}},
		"key with NUL":       {Service: "billing", Port: 80, Metadata: map[string]string{"k\x00": "v"}},
		"value with NUL":     {Service: "billing", Port: 80, Metadata: map[string]string{"k": "v\x00"}},
		"value not UTF-8":    {Service: "billing", Port: 80, Metadata: map[string]string{"k": "\xff"}},
		"a value of 1 MB":    {Service: "billing", Port: 80, Metadata: map[string]string{"k": long}},
		"a key of 1 MB":      {Service: "billing", Port: 80, Metadata: map[string]string{long: "v"}},
		"zone with NUL":      {Service: "billing", Port: 80, Zone: "\x00"},
		"version with NUL":   {Service: "billing", Port: 80, Version: "\x00"},
		"weight -1":          {Service: "billing", Port: 80, Weight: -1},
		"weight 65536":       {Service: "billing", Port: 80, Weight: 65536},
		"TTL too short":      {Service: "billing", Port: 80, TTL: time.Microsecond},
		"negative TTL":       {Service: "billing", Port: 80, TTL: -time.Second},
		"negative drain":     {Service: "billing", Port: 80, Drain: -time.Second},
		"heartbeat of 0":     {Service: "billing", Port: 80, Check: callsheet.Heartbeat(0)},
		"check of 1 ms":      {Service: "billing", Port: 80, Check: callsheet.TCP().Interval(time.Millisecond)},
		"negative interval":  {Service: "billing", Port: 80, Check: callsheet.TCP().Interval(-time.Second)},
		"check without time": {Service: "billing", Port: 80, Check: callsheet.TCP().Timeout(0)},
		"check at port -1":   {Service: "billing", Port: 80, Check: callsheet.TCP().At("h", -1)},
		"check at port 0":    {Service: "billing", Port: 80, Check: callsheet.TCP().At("h", 0)},
		"target with NUL":    {Service: "billing", Port: 80, Check: callsheet.HTTP("/\x00")},
		"no target":          {Service: "billing", Port: 80, Check: callsheet.HTTP("")},
		"no such target":     {Service: "billing", Port: 80, Check: callsheet.GRPC("billing")},
		"critical for 59 s":  {Service: "billing", Port: 80, Check: callsheet.TTL().DeregisterCriticalAfter(59 * time.Second)},
		"critical for 0 s":   {Service: "billing", Port: 80, Check: callsheet.TTL().DeregisterCriticalAfter(0)},
	} {
		began := time.Now()
		_, err := client.Register(within(t), one)
		var failed *callsheet.Error
		if !errors.Is(err, callsheet.ErrInvalidArgument) || !errors.As(err, &failed) || failed.Retryable {
			t.Errorf("%s: %v", name, err)
		} else if len(err.Error()) > 1000 {
			t.Errorf("%s: the message has %d bytes", name, len(err.Error()))
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
	}
	if stats := client.Stats(); stats.Registrations != 0 {
		t.Error(stats)
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	client := connect(t, "memory:")
	ctx := within(t)
	registration, err := client.Register(ctx, callsheet.Registration{Service: "billing", Port: 80})
	must(t, err)
	memory, _ := shared(t)
	for name, call := range map[string]func() error{
		"Lookup of no name": func() error { _, err := client.Lookup(ctx, ""); return err },
		"Lookup with NUL":   func() error { _, err := client.Lookup(ctx, "a\x00"); return err },
		"Lookup not UTF-8":  func() error { _, err := client.Lookup(ctx, "\xff"); return err },
		"filter with NUL":   func() error { _, err := client.Lookup(ctx, "a", callsheet.Tags("\x00")); return err },
		"filter not UTF-8":  func() error { _, err := client.Lookup(ctx, "a", callsheet.Zone("\xff")); return err },
		"WaitFor with NUL":  func() error { _, err := client.WaitFor(ctx, "\x00", 1); return err },
		"Picker of no name": func() error { _, err := client.Picker(ctx, "", callsheet.P2C); return err },
		"WatchChan of a bad name": func() error {
			return client.WatchChan(ctx, "a/b", make(chan *callsheet.Snapshot))
		},
		"WatchChan of no channel": func() error { return client.WatchChan(ctx, "a", nil) },
		"Watch of a bad name": func() (last error) {
			for _, err := range client.Watch(ctx, "a\x00b") {
				last = err
			}
			return last
		},
		"Registration with NUL":    func() error { _, err := client.Registration("\x00"); return err },
		"Deregister with NUL":      func() error { return client.Deregister(ctx, "\x00") },
		"SetStatus to nothing":     func() error { return registration.SetStatus(ctx, "", "") },
		"SetStatus with NUL":       func() error { return registration.SetStatus(ctx, callsheet.StatusWarning, "\x00") },
		"SetStatus with a long":    func() error { return registration.SetStatus(ctx, callsheet.StatusWarning, strings.Repeat("x", 1<<20)) },
		"Update to a bad tag":      func() error { return registration.Update(ctx, callsheet.Update{Tags: []string{"\x00"}}) },
		"Update to a bad weight":   func() error { return registration.Update(ctx, callsheet.Update{Weight: -1}) },
		"Update to a large weight": func() error { return registration.Update(ctx, callsheet.Update{Weight: 1 << 20}) },
		"Wait for nothing":         func() error { return registration.Wait(ctx, "splendid") },
		"no channel":               func() error { return callsheet.AsServiceDiscovery(client).Watch("billing", nil) },
		"no instance":              func() error { return callsheet.AsServiceDiscovery(client).Register(nil) },
		"OpenMemory with NUL":      func() error { _, err := callsheet.OpenMemory("\x00"); return err },
		"OpenMemory of nothing":    func() error { _, err := callsheet.OpenMemory(""); return err },
		"Put of nothing":           func() error { return memory.Put(callsheet.Registration{}) },
		"Delete with NUL":          func() error { return memory.Delete("\x00", "") },
	} {
		if err := call(); !errors.Is(err, callsheet.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if found, err := client.Lookup(ctx, "billing"); err != nil || found.At(0).Weight != 1 || found.At(0).Status != callsheet.StatusPassing {
		t.Error(found, err)
	}
}

func TestBadConnectionsAreRefused(t *testing.T) {
	for name, connect := range map[string]func() (*callsheet.Client, error){
		"scheme":        func() (*callsheet.Client, error) { return callsheet.Connect(within(t), "memroy:") },
		"URL with NUL":  func() (*callsheet.Client, error) { return callsheet.Connect(within(t), "memory:\x00") },
		"URL not UTF-8": func() (*callsheet.Client, error) { return callsheet.Connect(within(t), "memory:\xff") },
		"TTL": func() (*callsheet.Client, error) {
			return callsheet.Connect(within(t), "memory:", callsheet.WithTTL(1))
		},
		"negative TTL": func() (*callsheet.Client, error) {
			return callsheet.Connect(within(t), "memory:", callsheet.WithTTL(-1))
		},
		"timeout": func() (*callsheet.Client, error) {
			return callsheet.Connect(within(t), "memory:", callsheet.WithTimeout(0))
		},
		"cache size": func() (*callsheet.Client, error) {
			return callsheet.Connect(within(t), "memory:", callsheet.WithCacheSize(-1))
		},
		"token with NUL": func() (*callsheet.Client, error) {
			return callsheet.Connect(within(t), "memory:", callsheet.WithToken("\x00"))
		},
		"fallback with NUL": func() (*callsheet.Client, error) {
			return callsheet.Connect(within(t), "memory:", callsheet.WithFallback("\x00"))
		},
		"no such option": func() (*callsheet.Client, error) {
			return callsheet.Connect(within(t), "memory:", callsheet.WithOption("tll", "5"))
		},
		"option with NUL": func() (*callsheet.Client, error) {
			return callsheet.Connect(within(t), "memory:", callsheet.WithOption("\x00", "5"))
		},
	} {
		if client, err := connect(); !errors.Is(err, callsheet.ErrConfig) || client != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryOption shows that each has the name that the library knows it by: some are not of use to memory:, and refused
// for that.
func TestEveryOption(t *testing.T) {
	for name, option := range map[string]callsheet.Option{
		"token":         callsheet.WithToken("secret"),
		"token_file":    callsheet.WithTokenFile("/nowhere"),
		"username":      callsheet.WithUsername("app"),
		"password":      callsheet.WithPassword("secret"),
		"user":          callsheet.WithUser("app", "secret"),
		"ca":            callsheet.WithCA("/nowhere"),
		"cert":          callsheet.WithCert("/nowhere"),
		"key":           callsheet.WithKey("/nowhere"),
		"server_name":   callsheet.WithServerName("registry"),
		"insecure":      callsheet.WithInsecure(),
		"timeout":       callsheet.WithTimeout(time.Second),
		"ttl":           callsheet.WithTTL(1500 * time.Millisecond),
		"prefix":        callsheet.WithPrefix("/apps/"),
		"datacenter":    callsheet.WithDatacenter("dc1"),
		"fallback":      callsheet.WithFallback("memory:a", "memory:b"),
		"cache_dir":     callsheet.WithCacheDir(t.TempDir()),
		"cache_size":    callsheet.WithCacheSize(10),
		"cache_max_age": callsheet.WithCacheMaxAge(time.Hour),
		"empty_hold":    callsheet.WithEmptyHold(0),
		"drain":         callsheet.WithDrain(time.Minute),
		"none":          nil,
	} {
		client, err := callsheet.Connect(within(t), "memory:", option)
		if err != nil && (strings.Contains(err.Error(), "there is no option") || strings.Contains(err.Error(), " takes ")) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			must(t, client.Close())
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheEnvironmentNamesTheRegistry(t *testing.T) {
	t.Setenv("CALLSHEET_URL", "memory:elsewhere")
	if client := connect(t, ""); client.Source() != "memory:elsewhere" || client.String() != "callsheet.Client(memory:elsewhere)" {
		t.Error(client)
	}
}
