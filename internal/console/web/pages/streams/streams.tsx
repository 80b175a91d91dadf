import type { StreamInfo } from '@aws-sdk/client-kinesis-video';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { isRefused } from '../../api/errors';
import { may } from '../../api/permissions';
import { useQuery } from '../../api/query';
import { listStreams, look, statuses } from '../../api/streams';
import { go, href, keep, place } from '../../router';
import { Button } from '../../ui/button';
import { Empty, Failed, Loading } from '../../ui/states';
import { VirtualList } from '../../ui/virtual-list';
import { ByName } from './by-name';
import { CreateStream } from './create';
import { matcher, needsStatus } from './search';
import { Row, useRowSize } from './row';

const listed = 120; // seconds between lists; each one is an event in the audit log
const again = 10; // seconds between looks at what is in sight, which are none
const looked = 500; // streams of which all are looked at, for the summary
const searched = 300_000; // milliseconds for which a search among more of them trusts what it was told

export default function Streams() {
  const [early, setEarly] = useState<StreamInfo[]>(); // the first of many, while the others come
  const query = useQuery('streams', (abort) => listStreams(abort, setEarly), listed);
  const { error, reload } = query;
  const data = query.data ?? early;
  const [creating, setCreating] = useState(false);
  const [sight, setSight] = useState<string[]>([]);
  const text = place.value.query.get('search') ?? '';
  const state = place.value.query.get('state') ?? '';
  const { height, width } = useRowSize();
  const known = statuses.value;
  const found = useMemo(() => {
    if (!needsStatus(text, state)) return data ?? [];
    const fits = matcher(text, state);
    return (data ?? []).filter((s) => fits(known.get(s.StreamName!) ?? null, s.StreamName!));
  }, [data, known, text, state]);
  const whole = query.data && data && (data.length <= looked || needsStatus(text, state));
  const all = useMemo(() => (whole ? data.map((s) => s.StreamName!) : []), [data, whole]);
  const inSight = sight.join('\n');

  useEffect(() => {
    const abort = new AbortController();
    const run = async () => {
      if (document.hidden) return;
      await look(inSight.split('\n').filter(Boolean), abort.signal);
      await look(all, abort.signal, all.length > looked ? searched : undefined);
    };
    void run();
    const timer = setInterval(() => void run(), again * 1000);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [inSight, all]);

  return (
    <div class="page wide streams">
      <div class="page-head">
        <h1>Streams</h1>
        {data && data.length > 0 && <Search text={text} state={state} />}
        {may('kinesisvideo:CreateStream') && <Button label="New stream" icon="plus" kind="primary" onClick={() => setCreating(true)} />}
      </div>
      {error !== null && (isRefused(error) ? <Unlisted /> : <Failed error={error} retry={reload} />)}
      {!data && error === null && <Loading what="Loading the streams" />}
      {data?.length === 0 && <None />}
      {data && data.length > 0 && <Summary all={data} found={found.length} filtered={text !== '' || state !== ''} more={!query.data} />}
      {data && data.length > 0 && found.length === 0 && (
        <Empty icon="search" title="No stream fits">
          <p>Search for a part of a name, for a tag’s key, or for key=value.</p>
          <Button label="Show all" onClick={() => keep({ search: null, state: null })} />
        </Empty>
      )}
      {found.length > 0 && (
        <VirtualList label="Streams" items={found} rowHeight={height} rowWidth={width} keyOf={(s: StreamInfo) => s.StreamName!}
          render={(s) => <Row info={s} />} onSight={(list) => setSight(list.map((s) => s.StreamName!))} />
      )}
      {creating && <CreateStream onClose={() => setCreating(false)} />}
    </div>
  );
}

function Search({ text, state }: { text: string; state: string }) {
  return (
    <search class="row filters">
      <input class="input" type="search" aria-label="Search by name or tag" placeholder="Name or tag" value={text}
        onInput={(e) => keep({ search: e.currentTarget.value })} />
      <select class="input" aria-label="State" value={state} onChange={(e) => keep({ state: e.currentTarget.value })}>
        <option value="">Any state</option>
        <option value="RECEIVING">Receiving</option>
        <option value="SILENT">Silent</option>
        <option value="NO_DATA">No data</option>
        <option value="FULL">Full</option>
      </select>
    </search>
  );
}

// How many are in which state, as far as the user may know.
function stateWords(states: Record<string, number>, n: number): string {
  const untold = states[''] ?? 0;
  if (untold === n) return ' · how they are is not told to you';
  return ` · ${states['RECEIVING'] ?? 0} receiving · ${states['SILENT'] ?? 0} silent · ${states['NO_DATA'] ?? 0} without data${untold ? ` · ${untold} not told` : ''}`;
}

function Summary({ all, found, filtered, more }: { all: StreamInfo[]; found: number; filtered: boolean; more: boolean }) {
  const known = statuses.value;
  const n = all.length;
  const states = useMemo(() => {
    const counts: Record<string, number> = {};
    for (const { StreamName: name } of all) {
      if (!known.has(name!)) return null; // not all are known yet
      const state = known.get(name!)?.State ?? '';
      counts[state] = (counts[state] ?? 0) + 1;
    }
    return counts;
  }, [all, known]);
  return (
    <p class="soft small figures" role="status">
      {filtered ? `${found} of ${n} streams` : `${n} ${n === 1 ? 'stream' : 'streams'}`}{more && ' so far…'}
      {states && stateWords(states, n)}
    </p>
  );
}

/** For users who may see some streams but not list them. */
function Unlisted() {
  return (
    <Empty icon="camera" title="You may not list the streams">
      <p>No policy allows you kinesisvideo:ListStreams. A stream that you may see opens by its name.</p>
      <ByName action="Open" onName={(name) => go(href(['streams', name]))} />
    </Empty>
  );
}

function None() {
  return (
    <Empty icon="camera" title="No streams yet">
      <p>
        A stream takes what one camera sends, and keeps it for as long as you say. Make one, and its page shows how to connect
        the camera.
      </p>
    </Empty>
  );
}
