// The AWS clients, which every page shares, and signed calls of Weir's own administration.
import { KinesisVideoClient } from '@aws-sdk/client-kinesis-video';
import { KinesisVideoArchivedMediaClient } from '@aws-sdk/client-kinesis-video-archived-media';
import { SignatureV4 } from '@smithy/signature-v4';
import { Sha256Js } from '@smithy/core/checksum';
import { HttpRequest } from '@smithy/core/protocols';
import { account, origin, region } from './server';
import { credentials } from './session';
import { clockOffset, reached, unreachable } from './transport';
import { handler } from './transport';

const config = { region, endpoint: origin, credentials, requestHandler: handler, maxAttempts: 2 };

/** Streams, their tags and settings. */
export const kinesis = new KinesisVideoClient(config);
/** Fragments, sessions, clips and images. */
export const archived = new KinesisVideoArchivedMediaClient(config);

// in JavaScript: the browser's own digest answers later, when a page that is being left no longer runs
const signer = new SignatureV4({ service: 'kinesisvideo', region, credentials, sha256: Sha256Js });

/** A refusal of an administration call, in the form of the SDK's errors. */
export class WeirError extends Error {
  readonly $metadata: { httpStatusCode: number };

  constructor(name: string, message: string, status: number) {
    super(message);
    this.name = name;
    this.$metadata = { httpStatusCode: status };
  }
}

/**
 * Calls an operation of Weir's own administration, such as ListKeys. Answers are as docs/administration.md has them.
 * With keepalive the call is made even if the page is left.
 */
export async function weir<Out>(operation: string, input: object = {}, abort?: AbortSignal, keepalive = false): Promise<Out> {
  const body = JSON.stringify(input);
  const path = `/weir/${operation[0]!.toLowerCase()}${operation.slice(1)}`;
  const signed = await signer.sign(new HttpRequest({
    method: 'POST',
    protocol: location.protocol,
    hostname: location.hostname,
    path,
    headers: { host: location.host, 'content-type': 'application/json' },
    body,
  }), { signingDate: new Date(Date.now() + clockOffset.peek()) });
  const { host: _, ...headers } = signed.headers;
  let answer: Response;
  try {
    answer = await fetch(path, { method: 'POST', headers, body, signal: abort ?? null, keepalive });
  } catch (error) {
    if (!abort?.aborted) unreachable();
    throw error;
  }
  reached(answer.headers.get('date'));
  const out = await answer.json() as Out & { Message?: string; message?: string };
  if (!answer.ok) {
    throw new WeirError(answer.headers.get('x-amzn-ErrorType') ?? 'InternalFailure', out.Message ?? out.message ?? '', answer.status);
  }
  return out;
}

/** The ARN pattern of a stream by name, for questions of what somebody may do. */
export function streamARN(name: string): string {
  return `arn:aws:kinesisvideo:${region}:${account}:stream/${name}/0`;
}
