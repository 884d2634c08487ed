"""An index that can be carried: exported, imported, and united with another one."""

from searchengine.portable.bring_in import Imported, bring_in
from searchengine.portable.export import Exported, Format, export
from searchengine.portable.layouts import Source, open_source
from searchengine.portable.merge import Merged, merge
from searchengine.portable.origin import check_origin

__all__ = [
    "Exported",
    "Format",
    "Imported",
    "Merged",
    "Source",
    "bring_in",
    "check_origin",
    "export",
    "merge",
    "open_source",
]
