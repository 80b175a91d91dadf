package client

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"weir/internal/auth"
)

// longestSession is the lifetime that temporary credentials are asked for; the server gives root
// an hour.
const longestSession = 12 * time.Hour

// Temporary returns temporary credentials of the client's own, and when they end. They come from
// GetSessionToken; or they are the client's own if these are temporary, and the server knows when
// they end. Errors are those of the AWS SDK.
func (c *Client) Temporary(ctx context.Context) (auth.Credentials, time.Time, error) {
	own := c.Credentials
	if c.Renew != nil {
		var err error
		if own, err = c.Renew(ctx); err != nil {
			return auth.Credentials{}, time.Time{}, err
		}
	}
	if own.SessionToken != "" {
		return own, time.Now().Add(longestSession), nil
	}
	service := sts.New(sts.Options{Region: c.Region, BaseEndpoint: &c.Endpoint,
		HTTPClient: c.http(), Credentials: aws.CredentialsProviderFunc(
			func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: own.AccessKeyID,
					SecretAccessKey: own.SecretAccessKey}, nil
			})})
	out, err := service.GetSessionToken(ctx, &sts.GetSessionTokenInput{
		DurationSeconds: aws.Int32(int32(longestSession / time.Second))})
	if err != nil {
		return auth.Credentials{}, time.Time{}, fmt.Errorf("get temporary credentials: %w", err)
	}
	made := out.Credentials
	return auth.Credentials{AccessKeyID: *made.AccessKeyId,
			SecretAccessKey: *made.SecretAccessKey, SessionToken: *made.SessionToken},
		*made.Expiration, nil
}
