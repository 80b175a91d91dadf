import { ListStreamsCommand } from '@aws-sdk/client-kinesis-video';
import type { StreamInfo } from '@aws-sdk/client-kinesis-video';
import { kinesis } from '../../api/clients';
import { useQuery } from '../../api/query';
import { href } from '../../router';
import { Empty, Failed, Loading } from '../../ui/states';

const pageSize = 10_000;

async function allStreams(abort: AbortSignal): Promise<StreamInfo[]> {
  const all: StreamInfo[] = [];
  let NextToken: string | undefined;
  do {
    const page = await kinesis.send(new ListStreamsCommand({ MaxResults: pageSize, NextToken }), { abortSignal: abort });
    all.push(...(page.StreamInfoList ?? []));
    NextToken = page.NextToken;
  } while (NextToken);
  return all;
}

export default function Streams() {
  const { data, error, reload } = useQuery('streams', allStreams, 30);
  return (
    <div class="page">
      <div class="page-head"><h1>Streams</h1></div>
      {error !== null && <Failed error={error} retry={reload} />}
      {!data && error === null && <Loading what="Loading the streams" />}
      {data?.length === 0 && (
        <Empty icon="camera" title="No streams yet">
          <p>A stream takes what one camera sends.</p>
        </Empty>
      )}
      <ul class="stack tight">
        {data?.map((s) => (
          <li key={s.StreamName} class="card"><a href={href(['streams', s.StreamName!])}>{s.StreamName}</a></li>
        ))}
      </ul>
    </div>
  );
}
