package rows

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/store"
)

// IsAway says that a server could not be asked, or did not answer in time, so the error says
// nothing about what was asked for. The same question may be answered soon. Every other error is an
// answer, or a fault of this program.
func IsAway(err error) bool {
	var connect *pgconn.ConnectError
	var answer *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrFull),
		errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &connect): // whatever the reason is
		return true
	case errors.As(err, &answer):
		return slices.ContainsFunc(awayCodes, func(class string) bool {
			return strings.HasPrefix(answer.Code, class)
		})
	}
	return pgconn.Timeout(err) || isLost(err)
}

// awayCodes are how SQLSTATEs begin that a database answers in place of a result.
var awayCodes = []string{
	"08",    // connection exception
	"53",    // insufficient resources
	"57P",   // operator intervention: it stops or starts
	"57014", // query canceled: it took longer than the database's statement_timeout
}

// isLost reports whether an error is about a connection. The interface net.Error would not do:
// errors of the file system have its methods too.
func isLost(err error) bool {
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgconn.ErrConnClosed,
		context.DeadlineExceeded} {
		if errors.Is(err, lost) {
			return true
		}
	}
	var op *net.OpError
	var name *net.DNSError
	return errors.As(err, &op) || errors.As(err, &name)
}
