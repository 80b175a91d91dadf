import { href } from '../router';
import { Empty } from '../ui/states';

export function NotFound() {
  return (
    <Empty icon="search" title="There is no such page">
      <p>The address may have been cut off.</p>
      <a class="button" href={href(['streams'])}>Go to the streams</a>
    </Empty>
  );
}
