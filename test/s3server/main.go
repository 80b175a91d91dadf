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
	listen := flag.String("listen", "", "address")
	region := flag.String("region", "", "region of the bucket")
	sidecar := flag.String("sidecar", "", "directory for metadata of objects")
	flag.Parse()
	log.Fatal(serve(*listen, *region, *sidecar, flag.Arg(0)))
}

// serve serves the directories in root as buckets. The numbers are those of versitygw's command.
func serve(listen, region, sidecar, root string) error {
	// Extended attributes are the other place for metadata; not every file system has them.
	store, err := meta.NewSideCar(sidecar)
	if err != nil {
		return err
	}
	back, err := posix.New(root, store, posix.PosixOpts{
		SideCarDir:          sidecar,
		Concurrency:         5000,
		CopyObjectThreshold: 5 << 30,
	})
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(context.Background(), back, &embedgw.Config{
		RootUserAccess:    os.Getenv("ROOT_ACCESS_KEY"),
		RootUserSecret:    os.Getenv("ROOT_SECRET_KEY"),
		Region:            region,
		Ports:             []string{listen},
		MaxConnections:    250_000,
		MaxRequests:       100_000,
		MultipartMaxParts: 10_000,
		KeepAlive:         true,
		Quiet:             true,
	})
}
