// What the caller may do, so that the pages offer nothing else. The server still decides each call.
import { signal } from '@preact/signals';
import { session } from './session';
import { weir } from './clients';

interface Answer {
  Permissions: { ActionName: string; ResourceARN: string; Decision: 'allowed' | 'denied' }[];
}

/** What is known, by action and resource; undefined while it is being asked for. */
const known = signal(new Map<string, boolean>());
const wanted = new Map<string, [action: string, resource: string]>(); // for the next call
const asked = new Set<string>(); // of calls that are under way
const most = 100; // questions a call

let of: unknown = null;

function keyOf(action: string, resource: string) {
  return `${action} ${resource}`;
}

/** Whether the caller may do an action, such as kinesisvideo:DeleteStream, on a resource. It is false until it is known. */
export function may(action: string, resource = '*'): boolean {
  const now = session.value;
  if (now.state !== 'in') return false;
  if (of !== now.identity) { // somebody else signed in
    of = now.identity;
    known.value = new Map();
  }
  const key = keyOf(action, resource);
  const answer = known.value.get(key);
  if (answer === undefined && !wanted.has(key) && !asked.has(key)) {
    if (wanted.size === 0) setTimeout(() => void ask());
    wanted.set(key, [action, resource]);
  }
  return answer ?? false;
}

/** Asks for all that was wanted in one call. If that fails, everything is offered, and the calls themselves are refused. */
async function ask() {
  const all = [...wanted.values()];
  for (const key of wanted.keys()) asked.add(key);
  wanted.clear();
  for (let i = 0; i < all.length; i += most) {
    const some = all.slice(i, i + most);
    let answers: [string, boolean][];
    try {
      const { Permissions } = await weir<Answer>('GetPermissions', {
        Questions: some.map(([ActionName, ResourceARN]) => ({ ActionName, ResourceARN })),
      });
      answers = Permissions.map((p) => [keyOf(p.ActionName, p.ResourceARN), p.Decision === 'allowed']);
    } catch {
      answers = some.map(([action, resource]) => [keyOf(action, resource), true]);
    }
    known.value = new Map([...known.peek(), ...answers]);
    for (const [action, resource] of some) asked.delete(keyOf(action, resource));
  }
}
