/** Where the checkout is, seen from the compiled tests (build/js/test/support). */
import { join } from 'node:path';

export const projectRoot = join(import.meta.dirname, '../../../..');
