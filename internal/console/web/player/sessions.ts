// Playback sessions of one stream. A stream may have few of them, and one more closes the oldest, whoever watches it. So the
// console closes those that it no longer needs, if it may.
import { GetHLSStreamingSessionURLCommand, ListFragmentsCommand } from '@aws-sdk/client-kinesis-video-archived-media';
import { archived, weir } from '../api/clients';
import { isRefused, nameOf } from '../api/errors';
import { session } from '../api/session';
import { clockOffset } from '../api/transport';
import type { Clock } from '../timeline/address';
import type { Page, Source } from '../timeline/coverage';
import type { MarkSource } from '../timeline/marks';
import { type Dated, parseDates } from './dates';

/** The server's clock, milliseconds since 1970. */
export const serverNow = (): number => Date.now() + clockOffset.peek();

/** A session that is open. */
export interface Opened {
  url: string;
  live: boolean;
  close: () => void;
}

const EXPIRES = 43_200; // seconds, the longest there is

interface SessionInfo { SessionId: string; CreationTime: number }

let mayClose = true;

// Which of the stream's sessions is the one that was opened just now: the newest of this principal.
async function idOfNewest(stream: string): Promise<string | undefined> {
  const now = session.peek();
  if (!mayClose || now.state !== 'in') return undefined;
  try {
    const { SessionInfoList: list } = await weir<{ SessionInfoList: SessionInfo[] }>('ListSessions',
      { StreamName: stream, Principal: now.identity.arn });
    return list.reduce<SessionInfo | undefined>((a, b) => (!a || b.CreationTime >= a.CreationTime ? b : a), undefined)?.SessionId;
  } catch (error) {
    if (isRefused(error)) mayClose = false; // the user may not see sessions: it is not asked again
    return undefined;
  }
}

const untold = new Set<string>(); // streams whose state the user may not know

/**
 * Whether a camera sends; undefined if the user may not know. Unlike a session that cannot be opened, the question is no
 * event in the audit log.
 */
export async function receives(stream: string, signal: AbortSignal): Promise<boolean | undefined> {
  if (untold.has(stream)) return undefined;
  try {
    const { StreamStatusList: [status] } = await weir<{ StreamStatusList: { State: string }[] }>('GetStreamStatus', { StreamNames: [stream] }, signal);
    return status && status.State === 'RECEIVING';
  } catch (error) {
    if (!isRefused(error)) throw error;
    untold.add(stream);
    return undefined;
  }
}

async function open(stream: string, input: object, live: boolean, signal: AbortSignal): Promise<Opened> {
  const answer = await archived.send(new GetHLSStreamingSessionURLCommand({
    StreamName: stream,
    ContainerFormat: 'FRAGMENTED_MP4',
    DiscontinuityMode: 'ON_DISCONTINUITY',
    DisplayFragmentTimestamp: 'ALWAYS',
    Expires: EXPIRES,
    ...input,
  }), { abortSignal: signal });
  const id = idOfNewest(stream);
  // of the console's own origin, whatever address the server advertises
  const url = new URL(answer.HLSStreamingSessionURL!);
  return {
    url: `${location.origin}${url.pathname}${url.search}`,
    live,
    close: () => {
      void id.then((known) => known && weir('CloseSessions', { SessionId: known }, undefined, true)).catch(() => {});
    },
  };
}

/** Opens what a camera sends now, and so many fragments before it. */
export const openLive = (stream: string, clock: Clock, fragments: number, signal: AbortSignal): Promise<Opened> =>
  open(stream, {
    PlaybackMode: 'LIVE',
    HLSFragmentSelector: { FragmentSelectorType: clock },
    MaxMediaPlaylistFragmentResults: fragments,
  }, true, signal);

/** Opens a recording: so many fragments that begin between two moments. */
export const openRecording = (stream: string, clock: Clock, start: number, end: number, fragments: number,
  signal: AbortSignal): Promise<Opened> =>
  open(stream, {
    PlaybackMode: 'ON_DEMAND',
    HLSFragmentSelector: {
      FragmentSelectorType: clock,
      TimestampRange: { StartTimestamp: new Date(start), EndTimestamp: new Date(end) },
    },
    MaxMediaPlaylistFragmentResults: fragments,
  }, false, signal);

/** The segments of a session that is open: those of its first media playlist. */
export async function datesOf(url: string, signal: AbortSignal): Promise<Dated[]> {
  const text = async (of: string | URL): Promise<string> => {
    const answer = await fetch(of, { signal });
    if (!answer.ok) throw new Error(`The server answered ${answer.status} when it was asked for what the session has.`);
    return answer.text();
  };
  const uri = (await text(url)).split('\n').find((line) => line !== '' && !line.startsWith('#'));
  return uri === undefined ? [] : parseDates(await text(new URL(uri.trim(), url)));
}

/** Whether an error says that there is nothing to play: the stream has no such fragments, or does not exist. */
export const isNothing = (error: unknown): boolean => nameOf(error) === 'ResourceNotFoundException';

/** ListFragments of a stream as the timeline asks for it. */
export function fragmentsOf(stream: string, clock: Clock): Source {
  return async (range, max, token, signal): Promise<Page> => {
    const input = token
      ? { StreamName: stream, NextToken: token }
      : {
        StreamName: stream,
        MaxResults: max,
        FragmentSelector: {
          FragmentSelectorType: clock,
          TimestampRange: { StartTimestamp: new Date(range.start), EndTimestamp: new Date(Math.max(range.end, range.start)) },
        },
      };
    try {
      const answer = await archived.send(new ListFragmentsCommand(input), { abortSignal: signal });
      const fragments = (answer.Fragments ?? []).map((f) => ({
        start: (clock === 'SERVER_TIMESTAMP' ? f.ServerTimestamp! : f.ProducerTimestamp!).getTime(),
        length: f.FragmentLengthInMilliseconds ?? 0,
        bytes: f.FragmentSizeInBytes ?? 0,
      }));
      return answer.NextToken ? { fragments, token: answer.NextToken } : { fragments };
    } catch (error) {
      // a stretch before retention is refused, and has nothing
      if (nameOf(error) === 'InvalidArgumentException' && /outside of the stream retention period/.test((error as Error).message)) {
        return { fragments: [] };
      }
      throw error;
    }
  };
}

interface TaggedFragment {
  ProducerTimestamp: number; // seconds
  ServerTimestamp: number;
  Tags: { Name: string; Value: string }[];
}

/** Tags of a stream's fragments as the timeline marks them. */
export function marksOf(stream: string, clock: Clock): MarkSource {
  return async (range, token, signal) => {
    const { FragmentTags: list, NextToken } = await weir<{ FragmentTags: TaggedFragment[]; NextToken: string | null }>('ListFragmentTags', {
      StreamName: stream,
      ...(token ? { NextToken: token } : {
        FragmentSelector: {
          FragmentSelectorType: clock,
          TimestampRange: { StartTimestamp: range.start / 1000, EndTimestamp: range.end / 1000 },
        },
      }),
    }, signal);
    const marks = list.map((f) => ({
      at: (clock === 'SERVER_TIMESTAMP' ? f.ServerTimestamp : f.ProducerTimestamp) * 1000,
      text: f.Tags.map((t) => (t.Value ? `${t.Name}: ${t.Value}` : t.Name)).join(', '),
    }));
    return NextToken ? { marks, token: NextToken } : { marks };
  };
}
