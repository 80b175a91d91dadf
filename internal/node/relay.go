package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/auth"
	"weir/internal/handover"
	"weir/internal/live"
	"weir/internal/relay"
	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/rows"
)

// nodeKeySize is that of the secret that calls between nodes are authenticated by, bytes.
const nodeKeySize = 32

// Relay makes what brings the live edge of the other nodes to that of a store which is a Node; nil
// for any other store. The first node makes the key of calls between nodes, which all share.
func Relay(st any, edge *live.Edge, numbers relay.Numbers, log *slog.Logger,
	reg prometheus.Registerer) (*relay.Relay, error) {
	n, ok := st.(*Node)
	if !ok {
		return nil, nil
	}
	key, err := auth.ShareKeys(n.secrets.Secret(sharedNodeKey), func() ([]byte, error) {
		key := make([]byte, nodeKeySize)
		_, _ = rand.Read(key) // never fails: it ends the process instead
		return key, nil
	})
	if err == nil && len(key) != nodeKeySize {
		err = fmt.Errorf("it has %d bytes", len(key))
	}
	if err != nil {
		return nil, fmt.Errorf("key of calls between nodes: %w", err)
	}
	metrics, err := relay.NewMetrics(reg)
	if err != nil {
		return nil, err
	}
	return relay.New(relay.Options{Nodes: nodes{n.Store}, Edge: edge, Numbers: numbers, Key: key,
		Logger: log, Metrics: metrics}), nil
}

// URL is where other nodes reach this one: what was given, else the address that its socket listens
// on. A socket that listens on all addresses has the one that connections to the database come
// from; a Unix socket has none: "".
func URL(given string, socket *os.File, secure bool, database string) string {
	if given != "" {
		return strings.TrimRight(given, "/")
	}
	address, err := handover.Address(socket)
	if err != nil { // a Unix socket
		return ""
	}
	scheme, host := "http", address.IP.String()
	if secure {
		scheme = "https"
	}
	if address.IP.IsUnspecified() {
		host = ownHost(database)
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(address.Port))
}

// ownHost is the address of this machine that connections to a database come from. Nothing is sent
// to find it out.
func ownHost(database string) string {
	const local = "127.0.0.1"
	config, err := rows.Config(database)
	if err != nil {
		return local
	}
	to := config.ConnConfig
	conn, err := net.Dial("udp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil { // a Unix socket, or a name that does not resolve
		return local
	}
	defer conn.Close() // nothing was sent
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}

// nodes is a store as package relay sees it.
type nodes struct{ *cluster.Store }

// Receives implements relay.Nodes.
func (n nodes) Receives(ctx context.Context, streams []relay.Receiver) error {
	list := make([]rows.Receiver, len(streams))
	for i := range streams {
		list[i] = rows.Receiver(streams[i])
	}
	return n.Store.Receives(ctx, list)
}

// Receivers implements relay.Nodes.
func (n nodes) Receivers(ctx context.Context, streams []store.StreamID) ([]relay.Receiver, error) {
	list, err := n.Store.Receivers(ctx, streams)
	all := make([]relay.Receiver, len(list))
	for i := range list {
		all[i] = relay.Receiver(list[i])
	}
	return all, err
}
