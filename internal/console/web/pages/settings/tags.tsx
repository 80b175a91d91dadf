import { TagStreamCommand, UntagStreamCommand } from '@aws-sdk/client-kinesis-video';
import { useEffect, useState } from 'preact/hooks';
import { kinesis } from '../../api/clients';
import { may } from '../../api/permissions';
import { statuses } from '../../api/streams';
import { Button } from '../../ui/button';
import { Field } from '../../ui/field';
import { useSave } from '../../ui/submit';
import { formatTags, parseTags } from '../streams/tags';

/** The tags of a stream, in a line. */
export function Tags({ name, arn, onChanged }: { name: string; arn: string; onChanged: () => void }) {
  const has = statuses.value.get(name)?.Tags;
  const before = formatTags(has ?? {});
  const [text, setText] = useState(before);
  const { busy, save } = useSave(onChanged);
  useEffect(() => setText(before), [before]);
  if (!has) return null;
  if (!may('kinesisvideo:TagStream', arn)) {
    return <section class="card stack"><h2>Tags</h2><p>{before || 'No tags'}</p></section>;
  }

  const change = async () => {
    const wanted = parseTags(text);
    const gone = Object.keys(has).filter((key) => !(key in wanted));
    if (Object.keys(wanted).length > 0) await kinesis.send(new TagStreamCommand({ StreamName: name, Tags: wanted }));
    if (gone.length > 0) await kinesis.send(new UntagStreamCommand({ StreamName: name, TagKeyList: gone }));
    statuses.value = new Map([...statuses.peek(), [name, { ...statuses.peek().get(name)!, Tags: wanted }]]);
  };

  return (
    <form class="card stack" onSubmit={(e) => save(e, change)}>
      <h2>Tags</h2>
      <Field label="Tags" value={text} placeholder="site=north, floor=2" onInput={(e) => setText(e.currentTarget.value)}
        hint="Keys and values, with commas between them" />
      <div><Button type="submit" kind="primary" label={busy ? 'Saving…' : 'Save'} disabled={busy || text === before} /></div>
    </form>
  );
}
