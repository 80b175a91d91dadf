import { useId, useState } from 'preact/hooks';
import { weir } from '../../api/clients';
import { may } from '../../api/permissions';
import { Button } from '../../ui/button';
import { Code } from '../../ui/code';
import { Dialog } from '../../ui/dialog';
import { Field } from '../../ui/field';
import { say } from '../../ui/toast';
import { useSubmit } from '../../ui/submit';

export interface PolicyInfo {
  PolicyName: string;
  PolicyARN: string;
  Description: string | null;
  UpdateTime: number | null;
  Version: string | null; // null: it comes with Weir
  Attachments: { UserName?: string; RoleName?: string; ThingName?: string }[];
  PolicyDocument?: string;
}

interface Props {
  policy: PolicyInfo;
  onClose: () => void;
  onChanged: () => void;
}

/** A document with a line for each member, unless it has lines of its own. */
function inLines(text: string): string {
  return text.includes('\n') ? text : JSON.stringify(JSON.parse(text), null, 2);
}

/** A policy, to read or to write; one without a name is new. */
export function PolicyDialog({ policy, onClose, onChanged }: Props) {
  const isNew = policy.PolicyName === '';
  const writable = policy.Version !== null && (isNew ? may('weir:PutPolicy') : may('weir:PutPolicy', policy.PolicyARN));
  const removable = !isNew && policy.Version !== null && policy.Attachments.length === 0 && may('weir:DeletePolicy', policy.PolicyARN);
  const [name, setName] = useState(policy.PolicyName);
  const [text, setText] = useState(inLines(policy.PolicyDocument ?? '{}'));
  const { wrong, busy, run: submit } = useSubmit();
  const id = useId();

  const run = (call: () => Promise<string>) => submit(async () => {
    say(await call());
    onChanged();
  });
  const save = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      const { Warnings } = await weir<{ Warnings?: string[] | null }>('PutPolicy', {
        PolicyName: name, PolicyDocument: text, ...(policy.Version && { CurrentVersion: policy.Version }),
      });
      return Warnings?.length ? `Saved. ${Warnings.join(' ')}` : 'Saved. It holds from the next call on.';
    });
  };
  const remove = () => run(async () => {
    await weir('DeletePolicy', { PolicyName: policy.PolicyName });
    return `${policy.PolicyName} was deleted.`;
  });

  return (
    <Dialog title={isNew ? 'New policy' : policy.PolicyName} onClose={onClose}>
      <form id="policy" class="stack" onSubmit={save}>
        {wrong && <p class="note bad" role="alert">{wrong}</p>}
        {isNew && <Field label="Name" required value={name} onInput={(e) => setName(e.currentTarget.value)} />}
        {writable ? (
          <div class="field">
            <label htmlFor={id}>Document</label>
            <textarea id={id} class="input" rows={14} spellcheck={false} value={text} onInput={(e) => setText(e.currentTarget.value)} />
          </div>
        ) : <Code label="the policy" text={text} />}
        {policy.Version === null && <p class="soft small">This policy comes with Weir and cannot be changed.</p>}
      </form>
      <footer>
        {removable && <Button label="Delete" kind="danger" disabled={busy} onClick={remove} />}
        <Button label={writable ? 'Cancel' : 'Close'} onClick={onClose} />
        {writable && <button class="button primary" type="submit" form="policy" disabled={busy}>{busy ? 'Saving…' : 'Save'}</button>}
      </footer>
    </Dialog>
  );
}
