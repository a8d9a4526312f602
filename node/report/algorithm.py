"""Who made the result: the same names, versions and UIDs wherever an object states them (IHE AIR, Table 6.5.3.1-1)."""

from collections.abc import Iterable
from functools import lru_cache

from highdicom.sr import (
    AlgorithmIdentification,
    DeviceObserverIdentifyingAttributes,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard_codes

from config import codes
from inference.findings import BundleIdentity
from node.report.coding import concept
from node.report.identifiers import MANUFACTURER, algorithm_version, device_uid, model_name


@lru_cache(maxsize=4)  # every object of a report has the same items
def contributing_equipment(bundle: BundleIdentity) -> tuple[Dataset, ...]:
    """An item per algorithm, not to be changed; first the pipeline as a whole, which is what the content tree names."""
    return tuple(_equipment_item(bundle, component) for component in ("", *bundle.components))


def observation_context(bundle: BundleIdentity) -> ObservationContext:
    """TID 1001: the observer is a device (TID 1004)."""
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(bundle.sha256),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=model_name(bundle),
    )
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=standard_codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def algorithm_identification(bundle: BundleIdentity, parameters: Iterable[str] = ()) -> AlgorithmIdentification:
    """TID 4019, with the bundle's name and its whole hash among the parameters."""
    return AlgorithmIdentification(
        name=model_name(bundle),
        version=algorithm_version(bundle),
        manufacturer=MANUFACTURER,
        family=concept(codes.ARTIFICIAL_INTELLIGENCE),
        parameters=[f"bundle {bundle.name}", f"bundle sha256 {bundle.sha256}", *parameters],
    )


def _equipment_item(bundle: BundleIdentity, component: str) -> Dataset:
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = model_name(bundle, component)
    item.SoftwareVersions = algorithm_version(bundle)
    item.DeviceUID = device_uid(bundle.sha256, component)
    item.ContributionDescription = "Research use only"
    item.PurposeOfReferenceCodeSequence = [concept(codes.PROCESSING_EQUIPMENT)]
    return item
