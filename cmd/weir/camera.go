package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"weir/internal/api"
	"weir/internal/cameras"
	"weir/internal/client"
)

// cameraCmd is the group of commands for cameras with certificates.
type cameraCmd struct {
	Add   cameraAddCmd   `cmd:"" help:"Add a camera: write its key, its certificate and the CA file."`
	Renew cameraRenewCmd `cmd:"" help:"Give a camera a new key and a new certificate."`
}

// cameraFilesFlags are the flags of both commands. The private key never leaves this machine: only
// a certificate signing request is sent.
type cameraFilesFlags struct {
	Out  string `default:"." type:"path" placeholder:"DIR" help:"Directory for the files; made if there is none."`
	Days int    `placeholder:"N" help:"Days until the certificate ends; 365 by default."`
	serverFlags
	Name string `arg:"" help:"Name of the camera, and of its stream: letters, digits, - and _."`
}

// cameraAddCmd adds a camera.
type cameraAddCmd struct {
	Policy []string          `placeholder:"NAME" help:"Policies of the camera, separated by commas, instead of the policy camera, which allows the stream of its own name."`
	Role   []string          `placeholder:"NAME" help:"Roles of which it may also get credentials, separated by commas."`
	Tags   map[string]string `placeholder:"KEY=VALUE;..." help:"Tags, which policies know as aws:PrincipalTag."`
	cameraFilesFlags
}

// Help is shown by weir camera add --help.
func (c *cameraAddCmd) Help() string {
	return `Writes DIR/NAME.key.pem, DIR/NAME.cert.pem and DIR/NAME.ca.pem, and prints how kvssink uses them. The key is made here and
never leaves this machine. The server answers cameras at --camera-listen.

Example:

  weir camera add cam1 --out /etc/weir/cameras`
}

// Run makes the key, asks for the certificate, and writes the files.
func (c *cameraAddCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.client(ctx)
	if err != nil {
		return err
	}
	for _, path := range []string{c.path("key"), c.path("cert")} {
		if _, err := os.Lstat(path); err == nil {
			return withHint(fmt.Errorf("%s is there already", path),
				"weir camera renew %s replaces it", c.Name)
		}
	}
	issued, err := c.issue(func(request []byte) (out api.IssuedCertificate, err error) {
		return out, cl.Call(ctx, "AddCamera", &api.AddCameraInput{
			CameraRef:                 api.CameraRef{ThingName: c.Name},
			CertificateSigningRequest: string(request), CertificateDays: c.Days,
			Policies: c.Policy, RoleAliases: c.Role, Tags: c.Tags}, &out)
	})
	if err != nil {
		return err
	}
	return c.tell(std.Out, cl, issued)
}

// cameraRenewCmd renews a certificate.
type cameraRenewCmd struct {
	Overlap time.Duration `placeholder:"TIME" help:"How long the old certificate is still accepted, such as 24h. By default, it is refused at once."`
	cameraFilesFlags
}

// Help is shown by weir camera renew --help.
func (c *cameraRenewCmd) Help() string {
	return `Replaces DIR/NAME.key.pem, DIR/NAME.cert.pem and DIR/NAME.ca.pem. Give the camera the new files; with --overlap the old ones
work until it has them.

Example:

  weir camera renew cam1 --out /etc/weir/cameras --overlap 24h`
}

// Run makes a new key, requests a new certificate, and replaces the files.
func (c *cameraRenewCmd) Run(ctx context.Context, std stdio) error {
	if c.Overlap%time.Second != 0 || c.Overlap < 0 {
		return fmt.Errorf("--overlap %s is not a number of seconds", c.Overlap)
	}
	cl, err := c.client(ctx)
	if err != nil {
		return err
	}
	issued, err := c.issue(func(request []byte) (out api.IssuedCertificate, err error) {
		return out, cl.Call(ctx, "RenewCamera", &api.RenewCameraInput{
			CameraRef:                 api.CameraRef{ThingName: c.Name},
			CertificateSigningRequest: string(request), CertificateDays: c.Days,
			OverlapSeconds: int(c.Overlap / time.Second)}, &out)
	})
	if err != nil {
		return err
	}
	return c.tell(std.Out, cl, issued)
}

// path returns the path of one of the files. Producers demand that the CA file ends in .pem (PROD-C
// CurlCall.c).
func (c *cameraFilesFlags) path(kind string) string {
	return filepath.Join(c.Out, c.Name+"."+kind+".pem")
}

// issue makes a key, exchanges a request for a certificate by calling ask, and writes the files. As
// far as possible, it fails before the server changes anything.
func (c *cameraFilesFlags) issue(
	ask func(request []byte) (api.IssuedCertificate, error),
) (issued api.IssuedCertificate, err error) {
	if !cameras.ValidName(c.Name) {
		return issued, fmt.Errorf("%q is no name of a camera: it has 1 to %d letters, digits, - "+
			"and _", c.Name, api.MaxThingName)
	}
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return issued, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issued, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return issued, err
	}
	request, err := cameras.NewRequest(c.Name, key)
	if err != nil {
		return issued, err
	}
	keep := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := writeNew(c.path("key"), keep, 0o600); err != nil {
		return issued, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(c.path("key") + newSuffix) // of no use to anybody
		}
	}()
	if issued, err = ask(request); err != nil {
		return issued, err
	}
	if issued.CertificatePem == nil || issued.CaCertificatePem == nil {
		return issued, errors.New("the server has sent no certificate")
	}
	err = errors.Join(writeNew(c.path("cert"), []byte(*issued.CertificatePem), 0o644),
		writeNew(c.path("ca"), []byte(*issued.CaCertificatePem), 0o644))
	for _, kind := range []string{"key", "cert", "ca"} {
		if err == nil {
			err = os.Rename(c.path(kind)+newSuffix, c.path(kind))
		}
	}
	if err != nil {
		err = withHint(err, "the server has the camera, but its files are not written; weir "+
			"camera renew %s writes them", c.Name)
	}
	return issued, err
}

// newSuffix is on the names of files that replace others once all of them are written.
const newSuffix = ".new"

func writeNew(path string, data []byte, mode fs.FileMode) error {
	path += newSuffix
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

// tell prints what there is now, and how a producer uses it.
func (c *cameraFilesFlags) tell(
	w io.Writer, cl *client.Client, issued api.IssuedCertificate,
) error {
	text := fmt.Sprintf("Camera %s: its key is in %s, its certificate in %s, and %s verifies the "+
		"server.\n", c.Name, c.path("key"), c.path("cert"), c.path("ca"))
	if list := issued.CameraInfo.Certificates; len(list) > 0 {
		text += fmt.Sprintf("The certificate ends at %s.\n",
			time.UnixMilli(int64(list[0].NotAfter)).UTC().Format(time.RFC3339))
	}
	address := "https://HOST:PORT"
	if issued.CameraURL != nil {
		address = *issued.CameraURL
	} else {
		text += "The server has no --camera-listen yet, where it would answer cameras.\n"
	}
	host := strings.TrimPrefix(address, "https://")
	if u, err := url.Parse(address); err == nil && u.Port() == "" && u.Host != "" {
		host = u.Hostname() + ":443"
	}
	text += fmt.Sprintf(`
With kvssink:

  export CONTROL_PLANE_URI=%[1]s AWS_DEFAULT_REGION=%[2]s KVSSINK_CA_CERT_PATH=%[3]s
  … ! kvssink stream-name=%[4]s iot-certificate="iot-certificate,endpoint=%[5]s,cert-path=%[6]s,key-path=%[7]s,ca-path=%[3]s,role-aliases=camera"
`, address, cl.Region, c.path("ca"), c.Name, host, c.path("cert"), c.path("key"))
	_, err := io.WriteString(w, text)
	return err
}
