package main

import (
	"path/filepath"
	"time"

	"weir/internal/quota"
	"weir/internal/store/local"
	"weir/internal/store/objects"
)

// storeFlags are the flags of weir serve for the store.
type storeFlags struct {
	MinFree     byteSize      `name:"min-free" default:"1GiB" group:"Storage" env:"WEIR_MIN_FREE" placeholder:"SIZE" help:"Space to keep free on the disk of the data directory; when it is reached, fragments are refused."`
	WhenFull    string        `name:"when-full" default:"stop" enum:"stop,delete-oldest" group:"Storage" env:"WEIR_WHEN_FULL" placeholder:"HOW" help:"What to do when --min-free is reached: stop refuses fragments until there is space, delete-oldest deletes the oldest recordings of all streams."`
	Objects     string        `name:"objects" group:"Storage" env:"WEIR_OBJECTS" placeholder:"s3://BUCKET/PREFIX?endpoint=URL" help:"Object store for the recordings of streams with the storage tier WARM; with --database, for all of them. Its keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the AWS credentials file."`
	ObjectCache byteSize      `name:"object-cache" default:"1GiB" group:"Storage" env:"WEIR_OBJECT_CACHE" placeholder:"SIZE" help:"Space in the data directory for what was read from the object store."`
	WarmAfter   time.Duration `name:"warm-after" default:"1h" group:"Storage" env:"WEIR_WARM_AFTER" placeholder:"DURATION" help:"How long after its last fragment a recording's file goes to the object store."`

	ScrubRate byteSize `name:"scrub-rate" default:"4MB" group:"Storage" env:"WEIR_SCRUB_RATE" placeholder:"SIZE" help:"Bytes per second to read in the background, to find what the disk has damaged. 0 reads nothing."`
}

// options fills in the options of a store in a data directory from the flags.
func (f *storeFlags) options(o *local.Options, data string) error {
	o.MinFree, o.WhenFull, o.ScrubRate = int64(f.MinFree), local.FullPolicy(f.WhenFull),
		int64(f.ScrubRate)
	if f.Objects == "" {
		return nil
	}
	bucket, err := objects.Open(f.Objects, objects.Options{})
	if err != nil {
		return withHint(err, "--objects is an address such as "+
			"s3://recordings/site1?endpoint=https://s3.example.com")
	}
	o.WarmAfter = f.WarmAfter
	o.Objects = func() (local.Remote, error) {
		cache, err := objects.NewCache(bucket, filepath.Join(data, objectsDirectory),
			int64(f.ObjectCache))
		if err != nil {
			return nil, err
		}
		return local.NewRemote(bucket, cache), nil
	}
	return nil
}

// objectsDirectory is the name of the object store's cache in a data directory.
const objectsDirectory = "objects"

// byteSize is a number of bytes on the command line.
type byteSize = quota.Size
