package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/webhook"
)

// notificationKeyFile is the file in the data directory with the key for signatures.
const notificationKeyFile = "notification-key"

// notificationFlags are the flags of weir serve about notifications.
type notificationFlags struct {
	NotificationAllow []string `name:"notification-allow" sep:"," group:"Notifications" env:"WEIR_NOTIFICATION_ALLOW" placeholder:"NETWORK" help:"Networks that notifications may go to, such as 10.1.2.0/24 or 203.0.113.7, separated by commas; 0.0.0.0/0,::/0 for all. Without this there are no notifications."`
}

// networks parses the networks; a single address is one.
func (f *notificationFlags) networks() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range f.NotificationAllow {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("--notification-allow: %q is not a network such as "+
					"10.1.2.0/24", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

// check refuses what is not a network.
func (f *notificationFlags) check() error {
	_, err := f.networks()
	return err
}

// notifier makes the notifier, with its key from the data directory.
func (f *notificationFlags) notifier(data string, logger *slog.Logger,
	registry prometheus.Registerer) (*webhook.Notifier, error) {
	allow, err := f.networks()
	if err != nil {
		return nil, err
	}
	options := webhook.Options{Allow: allow, Logger: logger, Registerer: registry}
	if len(allow) > 0 {
		options.Key, err = webhook.LoadOrCreateKey(filepath.Join(data, notificationKeyFile))
		if err != nil {
			return nil, err
		}
	}
	return webhook.New(options)
}
