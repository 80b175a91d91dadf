import type { StreamInfo } from '@aws-sdk/client-kinesis-video';
import { useEffect, useState } from 'preact/hooks';
import { may } from '../../api/permissions';
import { statuses, stills, wantStill } from '../../api/streams';
import type { StreamStatus } from '../../api/streams';
import { href } from '../../router';
import { Icon } from '../../ui/icon';
import { bitRate, bytesOf, hours, moment, since } from '../../ui/format';
import { Pill } from '../../ui/pill';

const narrow = matchMedia('(max-width: 56rem)');

function rowSize() {
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  return { height: (narrow.matches ? 6.25 : 4.75) * rem, width: 60 * rem };
}

/** The size of a row: its height, which is larger where it is folded, and its least width beside another one. */
export function useRowSize(): { height: number; width: number } {
  const [size, setSize] = useState(rowSize);
  useEffect(() => {
    // wide windows have larger text
    const changed = () => setSize((before) => {
      const now = rowSize();
      return now.height === before.height && now.width === before.width ? before : now;
    });
    addEventListener('resize', changed);
    return () => removeEventListener('resize', changed);
  }, []);
  return size;
}

/** One stream of the list. */
export function Row({ info }: { info: StreamInfo }) {
  const name = info.StreamName!;
  const status = statuses.value.get(name);
  const tags = Object.entries(status?.Tags ?? {});
  useEffect(() => {
    if (status) wantStill(status);
  }, [status]);
  return (
    <div class="stream-row">
      <Still name={name} />
      <div class="stream-name">
        <a class="clip" href={href(['streams', name])}>{name}</a>
        <div class="stream-tags">{tags.map(([k, v]) => <Pill key={k}>{v ? `${k}=${v}` : k}</Pill>)}</div>
      </div>
      <div class="stream-state"><State status={status} /></div>
      <div class="stream-media small soft figures">{status && <Media status={status} />}</div>
      <div class="stream-kept small soft figures">
        <span>{hours(info.DataRetentionInHours ?? 0)}</span>
        {status && status.StoredBytes !== null && <span>{bytesOf(status.StoredBytes, status.StoredBytesLimit)}</span>}
      </div>
      {may('kinesisvideo:DescribeStream', info.StreamARN) && (
        <a class="button quiet icon" href={href(['streams', name, 'settings'])} aria-label={`Settings of ${name}`} title="Settings">
          <Icon name="edit" />
        </a>
      )}
    </div>
  );
}

function Still({ name }: { name: string }) {
  const picture = stills.value.get(name);
  return (
    <div class="still">
      {picture ? <img src={picture} alt="" width={96} height={54} /> : <Icon name="camera" />}
    </div>
  );
}

/** Whether a stream receives, in words. */
export function State({ status }: { status: StreamStatus | null | undefined }) {
  if (status === undefined) return <span class="soft small">…</span>;
  if (status === null) return <span class="soft small" title="No policy allows you weir:GetStreamStatus of it">not told</span>;
  if (status.StorageState === 'FULL') {
    return <span title="What its camera sends is refused until there is room"><Pill kind="bad">Full</Pill></span>;
  }
  switch (status.State) {
    case 'RECEIVING':
      return <Pill kind="good">Receiving</Pill>;
    case 'SILENT':
      return (
        <span title={moment(status.LastReceivedTime!)}>
          <Pill kind="warn">Silent for {since(status.LastReceivedTime!)}</Pill>
        </span>
      );
    default:
      return <Pill>No data</Pill>;
  }
}

const codecs: [RegExp, string][] = [[/^avc/, 'H.264'], [/^h(vc|ev)/, 'H.265'], [/^mp4a/, 'AAC'], [/^[au]law/, 'G.711'], [/^[AVS]_/, '']];

function codecName(codec: string): string {
  const [pattern, name] = codecs.find(([p]) => p.test(codec)) ?? [/^/, codec];
  return name || codec.replace(pattern, '');
}

function Media({ status }: { status: StreamStatus }) {
  const video = status.Tracks.find((t) => t.Kind === 'VIDEO');
  const names = status.Tracks.map((t) => codecName(t.Codec)).join(' + ');
  return (
    <>
      <span title={status.Tracks.map((t) => t.Codec).join(', ')}>
        {video && video.Width > 0 && `${video.Width}×${video.Height} `}{names}
      </span>
      {status.BitRate !== null && status.State === 'RECEIVING' && <span>{bitRate(status.BitRate)}</span>}
    </>
  );
}
