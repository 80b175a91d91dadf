import { DescribeStreamCommand, DescribeStreamStorageConfigurationCommand } from '@aws-sdk/client-kinesis-video';
import { useState } from 'preact/hooks';
import { kinesis } from '../../api/clients';
import { may } from '../../api/permissions';
import { useQuery } from '../../api/query';
import { look, statuses } from '../../api/streams';
import { href } from '../../router';
import type { PageProps } from '../../page';
import { Code } from '../../ui/code';
import { bytesOf, moment } from '../../ui/format';
import { Failed, Loading } from '../../ui/states';
import { Tabs } from '../../ui/tabs';
import { State } from '../streams/row';
import { DeleteStream } from './delete';
import { Keeping } from './keeping';
import { snippets } from './snippets';
import { Tags } from './tags';

async function describe(name: string, abort: AbortSignal) {
  const options = { abortSignal: abort };
  const { StreamInfo: info } = await kinesis.send(new DescribeStreamCommand({ StreamName: name }), options);
  let tier = '';
  try {
    const storage = await kinesis.send(new DescribeStreamStorageConfigurationCommand({ StreamName: name }), options);
    tier = storage.StreamStorageConfiguration?.DefaultStorageTier ?? '';
  } catch {
    // who may not hear of the tier may still see the rest
  }
  return { info: info!, tier };
}

const described = 300; // seconds; each time is two events in the audit log
const looked = 15; // seconds; each time is none

/** What a stream is called, how its camera is connected, and what is kept of it. */
export default function Settings({ params }: PageProps) {
  const name = params['name']!;
  const { data, error, reload } = useQuery(`settings ${name}`, (abort) => describe(name, abort), described);
  useQuery(`state of ${name}`, (abort) => look([name], abort), looked);
  const status = statuses.value.get(name);
  return (
    <div class="page settings">
      <div class="page-head">
        <h1>{name}</h1>
        {status !== undefined && <State status={status} />}
        <a class="button" href={href(['streams', name])}>Watch</a>
      </div>
      {error !== null && <Failed error={error} retry={reload} />}
      {!data && error === null && <Loading what="Loading the stream" />}
      {status?.StorageState === 'FULL' && (
        <p class="note bad" role="alert">
          The stream, or all of who made it, has stored as much as it may. What its camera sends is refused until recordings
          go or the limit is raised.
        </p>
      )}
      {data && (
        <>
          <Connect name={name} />
          <Keeping name={name} info={data.info} tier={data.tier} onChanged={reload} />
          <Tags name={name} arn={data.info.StreamARN!} onChanged={reload} />
          <section class="card stack">
            <h2>About it</h2>
            <dl class="facts">
              <dt>ARN</dt><dd class="mono wrap">{data.info.StreamARN}</dd>
              <dt>Made</dt><dd>{moment(data.info.CreationTime!.getTime() / 1000)}</dd>
              {status && <><dt>Recordings from</dt><dd>{status.FirstFragmentTime ? moment(status.FirstFragmentTime) : 'none yet'}</dd></>}
              {status && status.StoredBytes !== null && <><dt>Takes</dt><dd><Stored bytes={status.StoredBytes} limit={status.StoredBytesLimit} /></dd></>}
            </dl>
            {may('kinesisvideo:DeleteStream', data.info.StreamARN) && <DeleteStream info={data.info} />}
          </section>
        </>
      )}
    </div>
  );
}

/** What the recordings take, and of how much. */
function Stored({ bytes, limit }: { bytes: number; limit: number | null }) {
  return (
    <div class="figures">
      {bytesOf(bytes, limit)}
      {limit !== null && <meter class="meter" aria-label="What is stored, of what may be" min={0} max={limit} high={limit * 0.9} value={bytes} />}
    </div>
  );
}

function Connect({ name }: { name: string }) {
  const all = snippets(name);
  const [at, setAt] = useState(0);
  const one = all[at]!;
  return (
    <section class="card stack">
      <h2>Connect a camera</h2>
      <Tabs label="Ways to connect" names={all.map((s) => s.title)} at={at} onChange={setAt}>
        <div class="stack tight">
          <p class="soft small">{one.note}</p>
          <Code label={`the lines for ${one.title}`} text={one.text} />
          {one.title !== 'Certificate' && (
            <p class="soft small">Give each camera a key of its own: <code>weir keys create {name} --policy producer</code></p>
          )}
        </div>
      </Tabs>
    </section>
  );
}
