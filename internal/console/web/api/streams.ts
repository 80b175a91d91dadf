// Streams: the list of all, and the states of those that somebody looks at.
import { GetImagesCommand } from '@aws-sdk/client-kinesis-video-archived-media';
import { ListStreamsCommand } from '@aws-sdk/client-kinesis-video';
import type { StreamInfo } from '@aws-sdk/client-kinesis-video';
import { signal } from '@preact/signals';
import { Asked } from './asked';
import { archived, kinesis, weir } from './clients';
import { isNetworkError } from './errors';
import { noteError, session } from './session';

/** GetStreamStatus of docs/administration.md; times are seconds since the Unix epoch. */
export interface StreamStatus {
  StreamName: string;
  StreamARN: string;
  State: 'RECEIVING' | 'SILENT' | 'NO_DATA';
  FirstFragmentTime: number | null;
  LastFragmentTime: number | null;
  LastReceivedTime: number | null;
  Tracks: { Kind: string; Codec: string; Width: number; Height: number; SamplingRate: number; Channels: number }[];
  BitRate: number | null;
  StoredBytes: number | null;
  StoredBytesLimit: number | null;
  /** FULL: what its camera sends is refused, because the stream or its creator has stored as much as it may. */
  StorageState: 'WRITABLE' | 'FULL';
  DataRetentionInHours: number;
  Tags: Record<string, string>;
}

const firstPage = 100; // more than a screen has
const listPage = 1_000; // as much as is read without the page standing still
const statusPage = 100;
const freshMillis = 10_000;

/** All streams, by name. partial gets those that have come, while there are more. */
export async function listStreams(abort: AbortSignal, partial?: (some: StreamInfo[]) => void): Promise<StreamInfo[]> {
  const all: StreamInfo[] = [];
  let NextToken: string | undefined;
  do {
    const MaxResults = NextToken ? listPage : firstPage;
    const page = await kinesis.send(new ListStreamsCommand({ MaxResults, NextToken }), { abortSignal: abort });
    all.push(...(page.StreamInfoList ?? []));
    NextToken = page.NextToken;
    if (NextToken) partial?.([...all]);
  } while (NextToken);
  return all;
}

/** The states that are known, by name of the stream; null for one that the caller may not ask about. */
export const statuses = signal(new Map<string, StreamStatus | null>());
const asked = new Asked();

// Answers about many streams are shown together, a few times a second.
const arrived = new Map<string, StreamStatus | null>();
const gatherMillis = 300;
let showing = 0;

session.subscribe(() => { // of another caller they would be others
  statuses.value = new Map();
  arrived.clear();
  asked.clear();
});

/** Asks for the states of streams, except those that were asked for less than fresh milliseconds ago. */
export async function look(names: string[], abort?: AbortSignal, fresh = freshMillis): Promise<void> {
  const due = asked.due(names, Date.now(), fresh);
  for (let i = 0; i < due.length && !abort?.aborted; i += statusPage) {
    const some = due.slice(i, i + statusPage);
    const answered = asked.ask(some, Date.now(), abort);
    let found: StreamStatus[] = [];
    try {
      found = (await weir<{ StreamStatusList: StreamStatus[] }>('GetStreamStatus', { StreamNames: some }, abort)).StreamStatusList;
    } catch (error) {
      if (isNetworkError(error) || abort?.aborted) {
        asked.forget(some);
        return;
      }
      noteError(error); // refused: nothing is known of them, and the list still shows them
    }
    answered();
    for (const name of some) arrived.set(name, null);
    for (const s of found) arrived.set(s.StreamName, s);
    showing ||= setTimeout(showArrived, due.length > statusPage ? gatherMillis : 0) as unknown as number;
  }
}

function showArrived() {
  showing = 0;
  statuses.value = new Map([...statuses.peek(), ...arrived]);
  arrived.clear();
}

/** Pictures of streams as data URLs, by name; '' where there is none. */
export const stills = signal(new Map<string, string>());
const stillOf = new Map<string, number>(); // the moment that was asked for
const queue: StreamStatus[] = [];
let asking = 0;
let refused = 0; // answers in a row without a picture: the server makes none
const atOnce = 2;
const stillMillis = 60_000;

/** Asks for the last picture of a stream, if it is more than a minute newer than the one that was asked for last. */
export function wantStill(s: StreamStatus): void {
  if (s.LastFragmentTime === null || !s.Tracks.some((t) => t.Kind === 'VIDEO') || refused >= 3) return;
  const last = s.LastFragmentTime * 1000;
  if ((stillOf.get(s.StreamName) ?? 0) > last - stillMillis) return;
  stillOf.set(s.StreamName, last);
  queue.push(s);
  void pump();
}

async function pump() {
  while (asking < atOnce && queue.length > 0) {
    const s = queue.pop()!; // what was scrolled to last comes first
    asking += 1;
    try {
      const end = new Date(s.LastFragmentTime! * 1000);
      const { Images } = await archived.send(new GetImagesCommand({
        StreamName: s.StreamName, ImageSelectorType: 'PRODUCER_TIMESTAMP', Format: 'JPEG', WidthPixels: 192,
        StartTimestamp: new Date(end.getTime() - 3000), EndTimestamp: end, SamplingInterval: 3000, MaxResults: 1,
      }));
      const picture = Images?.find((i) => i.ImageContent)?.ImageContent ?? '';
      refused = 0;
      stills.value = new Map([...stills.peek(), [s.StreamName, picture && `data:image/jpeg;base64,${picture}`]]);
    } catch {
      refused += 1; // a list without pictures is still a list
    }
    asking -= 1;
  }
}
