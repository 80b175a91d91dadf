// Package objects keeps bytes in an S3-compatible object store: a Bucket that puts, reads in
// ranges, lists and deletes; a Gatherer that collects many streams' records into one object; and a
// Cache of what was read on the local disk. An object never changes once it is there.
package objects

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"weir/internal/store"
)

// Options of a Bucket. All have defaults.
type Options struct {
	// Who signs requests. By default, what the environment, the shared credentials file, or the
	// machine's role says, in this order, as with the tools of AWS.
	AccessKey, SecretKey string
	// How long one try of a request may take, beside a second for each megabyte; default 5 seconds.
	Timeout time.Duration
	// How often a request is tried; default 3.
	Tries int
	// Observe is called after each try of a request; may be nil.
	Observe func(Request)
}

// Bucket is a place in an object store: a bucket and a prefix of its keys. Its methods may be
// called concurrently.
type Bucket struct {
	core           *minio.Core
	bucket, prefix string
	o              Options
	keys           *credentials.Credentials
	page           int         // objects per request of List
	md5            atomic.Bool // Put adds an MD5, because the bucket demands it
}

// Info is an object in a list.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time // by the object store's clock
}

// Open returns the bucket of an address s3://BUCKET/PREFIX?endpoint=URL&region=NAME&style=STYLE. It
// sends no request. Without an endpoint the object store is that of AWS in the region, or in
// us-east-1. style says where requests have the bucket's name: "path" in the path, "virtual" in the
// host; without it the endpoint's address decides.
func Open(address string, o Options) (*Bucket, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("address of the objects is no URL") // it may hold a secret
	}
	if u.Scheme != "s3" || u.Host == "" || u.User != nil {
		return nil, errors.New("address of the objects is not of the form " +
			"s3://BUCKET/PREFIX?endpoint=URL (keys stand in the environment)")
	}
	region, endpoint := "us-east-1", "https://s3.amazonaws.com"
	style := minio.BucketLookupAuto
	for name, values := range u.Query() {
		switch name {
		case "endpoint":
			endpoint = values[0]
		case "region":
			region = values[0]
		case "style":
			if style = styles[values[0]]; style == minio.BucketLookupAuto {
				return nil, errors.New("style of the objects is neither path nor virtual")
			}
		default:
			return nil, fmt.Errorf("address of the objects has a parameter %q", name)
		}
	}
	at, err := url.Parse(endpoint)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" ||
		strings.Trim(at.Path, "/") != "" || at.User != nil {
		return nil, errors.New("endpoint of the objects is not of the form https://HOST:PORT")
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Tries == 0 {
		o.Tries = 3
	}
	keys := o.credentials()
	client, err := minio.NewCore(at.Host, &minio.Options{
		Creds: keys, Secure: at.Scheme == "https", Region: region, MaxRetries: 1,
		Transport: transport(), BucketLookup: style,
	})
	if err != nil {
		return nil, fmt.Errorf("object store: %w", err)
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &Bucket{core: client, bucket: u.Host, prefix: prefix, o: o, keys: keys,
		page: listAtOnce}, nil
}

// styles say where requests have the bucket's name.
var styles = map[string]minio.BucketLookupType{
	"path": minio.BucketLookupPath, "virtual": minio.BucketLookupDNS,
}

func (o *Options) credentials() *credentials.Credentials {
	if o.AccessKey != "" {
		return credentials.NewStaticV4(o.AccessKey, o.SecretKey, "")
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	})
}

// transport keeps as many connections as a node uses at a time: for the gatherer, for compaction,
// and for readers.
func transport() http.RoundTripper {
	return &http.Transport{
		Proxy:        http.ProxyFromEnvironment,
		DialContext:  (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		MaxIdleConns: 256, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second, DisableCompression: true,
		WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
	}
}

// Request is one try of a request to an object store.
type Request struct {
	Operation string // check, put, read, delete, list
	Bytes     int64  // of a put or a read, as requested
	Took      time.Duration
	Err       error
}

// Check returns nil if the bucket exists and may be used.
func (b *Bucket) Check(ctx context.Context) error {
	err := b.check(ctx)
	if isRefused(err) { // the answer to HEAD has no room for the reason
		if _, reason := b.listPage(ctx, "", ""); isRefused(reason) {
			err = reason
		}
	}
	return err
}

func (b *Bucket) check(ctx context.Context) error {
	return b.try(ctx, "check", b.bucket, 0, func(ctx context.Context) error {
		ok, err := b.core.BucketExists(ctx, b.bucket)
		if err == nil && !ok {
			err = store.ErrNotFound
		}
		return err
	})
}

// Put writes an object; durable on return. The request is signed over the object's SHA-256, which
// every S3-compatible store verifies; not all of them know the newer checksums in trailers. After
// an error the object may or may not exist.
func (b *Bucket) Put(ctx context.Context, key string, data []byte) error {
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	put := func(ctx context.Context) error {
		digest := ""
		if b.md5.Load() {
			sum := md5.Sum(data)
			digest = base64.StdEncoding.EncodeToString(sum[:])
		}
		_, err := b.core.PutObject(ctx, b.bucket, b.prefix+key, bytes.NewReader(data),
			int64(len(data)), digest, hash, minio.PutObjectOptions{
				ContentType: "application/octet-stream", DisableContentSha256: true,
			})
		return err
	}
	return b.try(ctx, "put", key, int64(len(data)), func(ctx context.Context) error {
		err := put(ctx)
		if wantsMD5(err) && b.md5.CompareAndSwap(false, true) {
			err = put(ctx)
		}
		return err
	})
}

// deleteAtOnce is how many objects one request may delete (S3 API, DeleteObjects).
const deleteAtOnce = 1000

// Delete deletes objects, if they exist.
func (b *Bucket) Delete(ctx context.Context, keys []string) error {
	for chunk := range slices.Chunk(keys, deleteAtOnce) {
		err := b.try(ctx, "delete", chunk[0], 0, func(ctx context.Context) error {
			names := make(chan minio.ObjectInfo, len(chunk))
			for _, key := range chunk {
				names <- minio.ObjectInfo{Key: b.prefix + key}
			}
			close(names)
			var errs []error
			for e := range b.core.RemoveObjects(ctx, b.bucket, names,
				minio.RemoveObjectsOptions{}) {
				if minio.ToErrorResponse(e.Err).Code != minio.NoSuchKey {
					errs = append(errs, e.Err)
				}
			}
			return errors.Join(errs...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// listAtOnce is how many objects a page of a list has.
const listAtOnce = 1000

// List returns the objects whose keys begin with prefix and are greater than after, by key.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for {
			page, err := b.listPage(ctx, prefix, after)
			if err != nil {
				yield(Info{}, err)
				return
			}
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
			}
			if len(page) < b.page {
				return
			}
			after = page[len(page)-1].Key
		}
	}
}

// listPage is one request of a list.
func (b *Bucket) listPage(ctx context.Context, prefix, after string) (page []Info, err error) {
	o := minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true, MaxKeys: b.page}
	if after != "" {
		o.StartAfter = b.prefix + after
	}
	err = b.try(ctx, "list", b.prefix+prefix, int64(b.page)<<10, func(ctx context.Context) error {
		page = page[:0]
		for info := range b.core.ListObjectsIter(ctx, b.bucket, o) {
			if info.Err != nil {
				return info.Err
			}
			page = append(page, Info{Key: strings.TrimPrefix(info.Key, b.prefix), Size: info.Size,
				Modified: info.LastModified})
			if len(page) == b.page {
				break
			}
		}
		return nil
	})
	return page, err
}

// try makes a request up to Options.Tries times, each with its own time limit.
func (b *Bucket) try(
	ctx context.Context, what, key string, length int64, do func(context.Context) error,
) error {
	within := b.o.Timeout + time.Duration(length)*time.Second/1e6
	var err error
	renewed := false
	for n := range b.o.Tries {
		if n > 0 {
			select {
			case <-time.After(100 * time.Millisecond << n):
			case <-ctx.Done():
				return fmt.Errorf("%s %s: %w", what, key, ctx.Err())
			}
		}
		one, cancel := context.WithTimeout(ctx, within)
		began := time.Now()
		err = do(one)
		cancel()
		if b.o.Observe != nil {
			b.o.Observe(Request{what, length, time.Since(began), err})
		}
		var final *sinkError
		switch {
		case err == nil:
			return nil
		case isStale(err) && !renewed && b.o.AccessKey == "":
			b.keys.Expire() // the file, or the service that issues them, may have new ones
			renewed = true
		case isGone(err):
			return fmt.Errorf("%s %s: %w", what, key, store.ErrGone)
		case isFull(err):
			return fmt.Errorf("%s %s: %w: %w", what, key, store.ErrFull, err)
		case isShort(err):
			return fmt.Errorf("%s %s: %w: %w", what, key, store.ErrCorrupt, errShort)
		case errors.As(err, &final), errors.Is(err, store.ErrNotFound), ctx.Err() != nil:
			return fmt.Errorf("%s %s: %w", what, key, err)
		case isRefused(err):
			return fmt.Errorf("%s %s: %w", what, key, &awayError{err})
		}
	}
	return fmt.Errorf("%s %s, tried %d times: %w", what, key, b.o.Tries, &awayError{err})
}
