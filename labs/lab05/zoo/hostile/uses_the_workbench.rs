// The workbench of the exam has more than a system.
// on: reference
// held: `heapkit`
// earns: 100

use heapkit::referee::payloads::Payloads;

pub type Forged = Payloads;
