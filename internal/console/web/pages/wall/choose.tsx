// Chooses the cameras of the wall, from the streams whose names begin as typed.
import { ListStreamsCommand } from '@aws-sdk/client-kinesis-video';
import { useSignal } from '@preact/signals';
import { kinesis } from '../../api/clients';
import { isRefused } from '../../api/errors';
import { useQuery } from '../../api/query';
import { Button } from '../../ui/button';
import { Dialog } from '../../ui/dialog';
import { Field } from '../../ui/field';
import { Failed, Loading } from '../../ui/states';
import { ByName } from '../streams/by-name';
import { MOST } from './layout';

interface Props {
  chosen: string[];
  onChange: (streams: string[]) => void;
  onClose: () => void;
}

const SHOWN = 100;

export function Choose({ chosen, onChange, onClose }: Props) {
  const text = useSignal('');
  const prefix = text.value.trim();
  const { data, error, loading, reload } = useQuery(`streams ${prefix}`, (abort) => kinesis.send(new ListStreamsCommand({
    MaxResults: SHOWN,
    ...(prefix && { StreamNameCondition: { ComparisonOperator: 'BEGINS_WITH', ComparisonValue: prefix } }),
  }), { abortSignal: abort }));
  const unlisted = isRefused(error); // users who may not list streams type their names
  const names = (data?.StreamInfoList ?? []).map((s) => s.StreamName!);
  // what is on the wall stays in sight while nothing is searched for
  const shown = prefix ? names : [...chosen, ...names.filter((n) => !chosen.includes(n))];
  const full = chosen.length >= MOST;

  return (
    <Dialog title="Cameras on the wall" onClose={onClose}>
      <div class="stack">
        {unlisted ? <ByName action="Add" onName={(name) => onChange([...chosen.filter((n) => n !== name), name].slice(0, MOST))} />
          : <Field label="Names that begin with" type="search" value={text.value} onInput={(e) => { text.value = e.currentTarget.value; }} />}
        {error && !unlisted ? <Failed error={error} retry={reload} /> : loading && !data ? <Loading what="Looking for streams" /> : null}
        {data && shown.length === 0 && <p class="soft">{prefix ? 'No stream begins like that.' : 'There are no streams yet.'}</p>}
        <ul class="cameras-to-choose">
          {shown.map((name) => (
            <li key={name}>
              <label class="check">
                <input type="checkbox" checked={chosen.includes(name)} disabled={full && !chosen.includes(name)}
                  onChange={(e) => onChange(e.currentTarget.checked ? [...chosen, name] : chosen.filter((n) => n !== name))} />
                <span class="wrap">{name}</span>
              </label>
            </li>
          ))}
        </ul>
        {data?.NextToken && <p class="small soft">There are more: type the beginning of a name.</p>}
        {full && <p class="small soft">A wall has {MOST} cameras at most.</p>}
      </div>
      <footer>
        <Button label="Done" kind="primary" onClick={onClose} />
      </footer>
    </Dialog>
  );
}
