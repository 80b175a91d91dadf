// A range of a stream as one MP4 file: a link to it, which the browser downloads by itself, and its size.
import { GetClipCommand } from '@aws-sdk/client-kinesis-video-archived-media';
import { archived } from '../../api/clients';
import type { Clock } from '../../timeline/address';
import type { Range } from '../../timeline/scale';

export interface Clip {
  url: string;
  size: number | undefined; // bytes
}

const LIFE = 3_600; // seconds that the link opens the clip

/** Makes the link, cut to the picture. Errors are the server's. */
export async function clipOf(stream: string, range: Range, clock: Clock, signal: AbortSignal): Promise<Clip> {
  const command = new GetClipCommand({
    StreamName: stream,
    ClipFragmentSelector: {
      FragmentSelectorType: clock,
      TimestampRange: { StartTimestamp: new Date(range.start), EndTimestamp: new Date(range.end) },
    },
  });
  // Weir's own parameters of GetClip stand in its query
  command.middlewareStack.add((next) => (args) => {
    Object.assign(args.request as { query: Record<string, string> },
      { query: { Exact: 'true', LinkExpires: String(LIFE) } });
    return next(args);
  }, { step: 'build', name: 'clipLink' });
  const answer = await archived.send(command, { abortSignal: signal });
  const { ClipURL } = JSON.parse(await answer.Payload!.transformToString()) as { ClipURL: string };
  const { pathname, search } = new URL(ClipURL);
  const url = `${location.origin}${pathname}${search}`;
  const head = await fetch(url, { method: 'HEAD', signal });
  const length = Number(head.headers.get('content-length'));
  return { url, size: head.ok && length > 0 ? length : undefined };
}
