// Command s3server serves a directory as S3, for the tests of the cluster: versitygw with its POSIX
// back end alone. The command of versitygw links every other back end as well, and takes more than
// twice as long to compile. As a module of its own it leaves Weir without what versitygw needs.
package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "", "address")
	flag.StringVar(&o.region, "region", "", "region of the bucket")
	flag.StringVar(&o.sidecar, "sidecar", "", "directory for metadata of objects")
	flag.StringVar(&o.versions, "versions", "", "directory for versions, of buckets that keep them")
	flag.StringVar(&o.domain, "domain", "", "domain whose subdomains are buckets")
	flag.StringVar(&o.cert, "cert", "", "file of the certificate; without one it is plain HTTP")
	flag.StringVar(&o.key, "key", "", "file of the certificate's key")
	flag.Parse()
	log.Fatal(o.serve(flag.Arg(0)))
}

type options struct{ listen, region, sidecar, versions, domain, cert, key string }

// serve serves the directories in root as buckets. The numbers are those of versitygw's command.
func (o *options) serve(root string) error {
	// Extended attributes are the other place for metadata; not every file system has them.
	store, err := meta.NewSideCar(o.sidecar)
	if err != nil {
		return err
	}
	back, err := posix.New(root, store, posix.PosixOpts{
		SideCarDir:          o.sidecar,
		VersioningDir:       o.versions,
		Concurrency:         5000,
		CopyObjectThreshold: 5 << 30,
	})
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(context.Background(), back, &embedgw.Config{
		RootUserAccess:    os.Getenv("ROOT_ACCESS_KEY"),
		RootUserSecret:    os.Getenv("ROOT_SECRET_KEY"),
		Region:            o.region,
		Ports:             []string{o.listen},
		VirtualDomain:     o.domain,
		CertFile:          o.cert,
		KeyFile:           o.key,
		MaxConnections:    250_000,
		MaxRequests:       100_000,
		MultipartMaxParts: 10_000,
		KeepAlive:         true,
		Quiet:             true,
	})
}
