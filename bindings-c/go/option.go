// Options of Connect. The library checks them; here they are names and values.

package callsheet

// #include "shim.h"
import "C"

import (
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// Option is one option of [Connect]. What is not given comes from the URL's query, the environment ($CALLSHEET_TTL and so
// on), or the default, in this order.
type Option func(*options)

type options struct {
	pairs    []struct{ name, value string }
	fallback []string
}

// WithOption sets an option by its name and value as in a URL's query, such as "ttl" and "10s".
func WithOption(name, value string) Option {
	return func(o *options) { o.pairs = append(o.pairs, struct{ name, value string }{name, value}) }
}

// The library reads a bare number as seconds.
func withDuration(name string, duration time.Duration) Option {
	return WithOption(name, strconv.FormatFloat(duration.Seconds(), 'f', -1, 64))
}

// WithToken gives a token for the registry.
func WithToken(token string) Option { return WithOption("token", token) }

// WithTokenFile names a file that holds the token.
func WithTokenFile(path string) Option { return WithOption("token_file", path) }

// WithUser gives a user's name and password.
func WithUser(name, password string) Option {
	return func(o *options) {
		WithOption("username", name)(o)
		WithOption("password", password)(o)
	}
}

// WithUsername gives a user's name, for a password from elsewhere.
func WithUsername(name string) Option { return WithOption("username", name) }

// WithPassword gives a user's password, for a name from elsewhere.
func WithPassword(password string) Option { return WithOption("password", password) }

// WithCA names a file with the authorities to trust.
func WithCA(path string) Option { return WithOption("ca", path) }

// WithCert names a file with this program's certificate.
func WithCert(path string) Option { return WithOption("cert", path) }

// WithKey names a file with the key of that certificate.
func WithKey(path string) Option { return WithOption("key", path) }

// WithServerName says what name the registry's certificate is of.
func WithServerName(name string) Option { return WithOption("server_name", name) }

// WithInsecure takes anybody for the registry: its certificate is not verified. For trials only; a warning says so.
func WithInsecure() Option { return WithOption("insecure", "true") }

// WithTimeout says how long one request may take. Default: 5 s.
func WithTimeout(timeout time.Duration) Option { return withDuration("timeout", timeout) }

// WithTTL says how long the registry keeps registrations without hearing of them, 1 s to 1 day. Default: 10 s.
func WithTTL(ttl time.Duration) Option { return withDuration("ttl", ttl) }

// WithPrefix says what keys begin with.
func WithPrefix(prefix string) Option { return WithOption("prefix", prefix) }

// WithDatacenter says which datacenter to ask.
func WithDatacenter(name string) Option { return WithOption("datacenter", name) }

// WithFallback names registries to fall back to, in turn.
func WithFallback(urls ...string) Option {
	return func(o *options) { o.fallback = append(o.fallback, urls...) }
}

// WithCacheDir names a folder for saved lists. Default: none is saved.
func WithCacheDir(path string) Option { return WithOption("cache_dir", path) }

// WithCacheSize says how many services are followed at most while unused ones can give way. Default: 1000.
func WithCacheSize(services int) Option { return WithOption("cache_size", strconv.Itoa(services)) }

// WithCacheMaxAge says how long saved lists are used. Default: 24 h.
func WithCacheMaxAge(age time.Duration) Option { return withDuration("cache_max_age", age) }

// WithEmptyHold says how long an empty list that nothing proves is held back. Default: 10 min.
func WithEmptyHold(hold time.Duration) Option { return withDuration("empty_hold", hold) }

// WithDrain says how long closing a registration waits for calls under way. Default: not at all.
func WithDrain(drain time.Duration) Option { return withDuration("drain", drain) }

// connectOptions returns the options for C.
func connectOptions(a *arguments, given []Option) *C.callsheet_connect_options_t {
	var set options
	for _, option := range given {
		if option != nil {
			option(&set)
		}
	}
	made := (*C.callsheet_connect_options_t)(a.block(1, unsafe.Sizeof(C.callsheet_connect_options_t{})))
	*made = C.cs_connect_options()
	more := (*C.callsheet_pair_t)(a.block(len(set.pairs), unsafe.Sizeof(C.callsheet_pair_t{})))
	for i, pair := range set.pairs {
		to := &unsafe.Slice(more, len(set.pairs))[i]
		to.key = a.text("the name of an option", pair.name)
		to.value = a.text(strings.ToValidUTF8(pair.name, "?"), pair.value)
	}
	made.more, made.more_len = more, C.size_t(len(set.pairs))
	made.fallback, made.fallback_len = a.texts("fallback", set.fallback)
	return made
}
