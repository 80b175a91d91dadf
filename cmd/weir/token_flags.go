package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"weir/internal/auth"
	"weir/internal/node"
)

// tokenFlags are the flags of weir serve about the tokens of sessions.
type tokenFlags struct {
	TokenKeyAge  time.Duration `name:"token-key-max-age" default:"720h" group:"Access" env:"WEIR_TOKEN_KEY_MAX_AGE" placeholder:"DURATION" help:"Age at which another key begins to seal session URLs, clip links and temporary credentials. Those already given out stay valid. 0s never changes the key by itself."`
	BindSessions bool          `name:"bind-sessions" group:"Access" env:"WEIR_BIND_SESSIONS" help:"Let a session be watched from one address only, that of its first request (IPv6: one /64 network). Behind a proxy it needs --trusted-proxies. Not for clients that change networks."`
}

// check refuses flags with which no start could succeed.
func (f *tokenFlags) check() error {
	if f.TokenKeyAge != 0 && f.TokenKeyAge < auth.MinTokenKeyAge {
		return fmt.Errorf("--token-key-max-age %s is less than %s; 0s: never", f.TokenKeyAge,
			auth.MinTokenKeyAge)
	}
	return nil
}

// openTokenKeys reads the keys that seal session tokens, and makes the first one.
func (c *serveCmd) openTokenKeys(st engine, logger *slog.Logger) (*auth.TokenKeys, error) {
	if n, ok := st.(*node.Node); ok {
		return n.TokenKeys()
	}
	path := filepath.Join(c.Data, tokenKeysFile)
	warnExposed(logger, path)
	return auth.LoadOrCreateTokenKeys(path)
}

// keepTokenKeys returns a function that maintains the keys until its context ends.
func (f *tokenFlags) keepTokenKeys(
	keys *auth.TokenKeys, logger *slog.Logger,
) func(context.Context) error {
	return func(ctx context.Context) error { return keys.Run(ctx, f.TokenKeyAge, logger) }
}
