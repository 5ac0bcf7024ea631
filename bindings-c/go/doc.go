// Package callsheet finds services: a program says who it is and where it can be reached; others find it, follow it and
// pick an instance to call.
//
// A provider:
//
//	client, err := callsheet.Connect(ctx, "etcd://127.0.0.1:2379")
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	_, err = client.Register(ctx, callsheet.Registration{Service: "billing", Port: 8080})
//
// A consumer:
//
//	for snapshot, err := range client.Watch(ctx, "billing") {
//		if err != nil {
//			return err
//		}
//		for instance := range snapshot.All() {
//			log.Println(instance.ID, instance.Addr())
//		}
//	}
//
//	picker, err := client.Picker(ctx, "billing", callsheet.P2C)
//	pick, err := picker.Pick()
//	response, err := http.Get(pick.URL() + "/invoices")
//	pick.Done(err)
//
// The registry is chosen by the URL alone: local: for the processes of one machine, memory: for tests; see [Connect].
//
// # Contexts
//
// A context that ends ends the call that it was given to, and nothing else: a registration goes on. The error matches
// [ErrCancelled] and [context.Canceled], or [ErrTimeout] and [context.DeadlineExceeded]. Calls without a deadline that
// could wait for ever do: [Client.WaitFor], [RegistrationHandle.Wait], [RegistrationHandle.Ready], [Picker.PickWait].
// The others are bounded by the client's timeout, see [WithTimeout].
//
// # Errors
//
// Every error is an [*Error] and matches the sentinel of its code. A service that nobody registered is no error but an
// empty list, and neither a registration nor a watch fails because the registry is away.
//
// # Closing
//
// [Client.Close] withdraws what the client registered and ends everything else that was made of it. The end of the
// program does not: use [os/signal.NotifyContext] and Close. What is dropped without Close is freed by the garbage
// collector, and its registrations are left to their TTL.
//
// # Goroutines and threads
//
// Everything may be used by any number of goroutines. A client costs one goroutine, which waits in Go's netpoller for the
// one descriptor that tells of all its watches and calls; a call or watch that waits holds no thread. The library's own
// threads are as many for one client as for a thousand, and never call into Go.
//
// # Building
//
// The package needs cgo. By default it links the archive that bindings-c/build.sh makes, statically; with the build tag
// callsheet_dynamic the shared library that pkg-config knows.
package callsheet
