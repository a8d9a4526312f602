"""The coded vocabulary of the reports.

Every code was read in the standard's context groups; SNOMED codes are never guessed. `99SPINENODE` is our private
scheme (PS3.3 Section 8.2: a private designator starts with 99) and holds only what no public scheme says.
"""

from dataclasses import dataclass

PRIVATE_SCHEME = "99SPINENODE"
PRIVATE_SCHEME_NAME = "SpineNode private codes"


@dataclass(frozen=True, slots=True)
class Code:
    """One coded concept (PS3.3 Section 8): `value` of at most 16 characters, its coding scheme, words for people."""

    value: str
    scheme: str
    meaning: str


# Document titles, CID 7021. OHIF takes 126000 for boxes and fails when such a document holds no coordinates.
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
ONCOLOGY_MEASUREMENT_REPORT = Code("126001", "DCM", "Oncology Measurement Report")

# The imaging procedure that was analysed, CID 100: not the algorithm (IHE AIR).
MRI_UNSPECIFIED_BODY_REGION = Code("25056-3", "LN", "MRI unspecified body region")

# Structure of TID 1500, 1410, 4019
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
ENGLISH = Code("en", "RFC5646", "English")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500 row 12
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")  # CID 7162
BOUNDED_BY = Code("75958009", "SCT", "Bounded by")  # CID 219: the polyline is a box, not an outline
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
SEGMENTATION = Code("113076", "DCM", "Segmentation")  # CID 7203: how an image came from its source
SOURCE_IMAGE_FOR_PROCESSING = Code("121322", "DCM", "Source image for image processing operation")

# What was found
MORPHOLOGICALLY_ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION = Code("52988006", "SCT", "Lesion")
SPINE = Code("421060004", "SCT", "Spine")
CERVICAL_SPINE = Code("122494005", "SCT", "Cervical spine")
THORACIC_SPINE = Code("122495006", "SCT", "Thoracic spine")
LUMBAR_SPINE = Code("122496007", "SCT", "Lumbar spine")
SACRUM = Code("54735007", "SCT", "Sacrum")
CERVICO_THORACIC_SPINE = Code("1217257000", "SCT", "Cervico-thoracic spine")
THORACO_LUMBAR_SPINE = Code("1217256009", "SCT", "Thoraco-lumbar spine")
LUMBO_SACRAL_SPINE = Code("1217253001", "SCT", "Lumbo-sacral spine")
PROBABILITY_OF_CANCER = Code("111047", "DCM", "Probability of cancer")  # CID 6048
CERTAINTY_OF_FINDING = Code("111012", "DCM", "Certainty of Finding")
ASSESSMENT_CATEGORY = Code("111005", "DCM", "Assessment Category")
OVERALL_ASSESSMENT = Code("111413", "DCM", "Overall Assessment")
BENIGN = Code("30807003", "SCT", "Benign")  # CID 6063
MALIGNANT = Code("21594007", "SCT", "Malignant")
INDETERMINATE = Code("280416009", "SCT", "Indeterminate result")

# How the run ended, CID 6047
RUN_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
ALL_SUCCEEDED_WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
ALL_SUCCEEDED_WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
NOT_ALL_SUCCEEDED_WITH_FINDINGS = Code("111244", "DCM", "Not all algorithms succeeded; with findings")
NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS = Code("111243", "DCM", "Not all algorithms succeeded; without findings")
NONE_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")

# Text and context
IMPRESSION = Code("121073", "DCM", "Impression")
COMMENT = Code("121106", "DCM", "Comment")
OF_INTEREST = Code("113000", "DCM", "Of Interest")  # CID 7010, title of a key object selection
KEY_OBJECT_DESCRIPTION = Code("113012", "DCM", "Key Object Description")  # TID 2010
SUBJECT_AGE = Code("121033", "DCM", "Subject Age")
SERIES_INSTANCE_UID = Code("112002", "DCM", "Series Instance UID")

# Units
PERCENT = Code("%", "UCUM", "Percent")
NO_UNITS = Code("1", "UCUM", "no units")
YEARS = Code("a", "UCUM", "year")
MINUTES = Code("min", "UCUM", "minute")

# Weighting of a sequence
T1_WEIGHTED = Code("110804", "DCM", "T1 Weighted MR Signal Intensity")
T2_WEIGHTED = Code("110805", "DCM", "T2 Weighted MR Signal Intensity")
T2_FAT_SUPPRESSED = Code("1001", PRIVATE_SCHEME, "Fat-suppressed T2 weighted MR, STIR included")

# Names that no public scheme has
SEQUENCE_RESULT = Code("1101", PRIVATE_SCHEME, "Result of one sequence")
WEIGHTING = Code("1102", PRIVATE_SCHEME, "Weighting of the sequence")
IMAGE_COUNT = Code("1103", PRIVATE_SCHEME, "Images in the sequence")
VOTING_IMAGE_COUNT = Code("1104", PRIVATE_SCHEME, "Voting images")
MALIGNANT_VOTE_COUNT = Code("1105", PRIVATE_SCHEME, "Images voting malignant")
MALIGNANT_VOTE_FRACTION = Code("1106", PRIVATE_SCHEME, "Voting images that vote malignant")
CLASSIFIER_PROBABILITY = Code("1107", PRIVATE_SCHEME, "Malignant probability of the sequence classifier")
AGE_PROBABILITY = Code("1108", PRIVATE_SCHEME, "Malignant probability of the age group")
VOTE_OUTCOME = Code("1109", PRIVATE_SCHEME, "Outcome of the vote")
MAJORITY = Code("1110", PRIVATE_SCHEME, "Majority")
TIE = Code("1111", PRIVATE_SCHEME, "Tie, decided by the mean probability")
ABSTAINED = Code("1112", PRIVATE_SCHEME, "Abstained, no image voted")
DETECTOR_CLASS = Code("1113", PRIVATE_SCHEME, "Detector class, before the fusion")
CLIP_IMAGE = Code("1114", PRIVATE_SCHEME, "Image read by the sequence classifier")
SERIES_USED = Code("1201", PRIVATE_SCHEME, "Series used")
SERIES_LEFT_OUT = Code("1202", PRIVATE_SCHEME, "Series left out")
REASON_LEFT_OUT = Code("1203", PRIVATE_SCHEME, "Reason why the series was left out")
REASON_NOT_ANALYSED = Code("1204", PRIVATE_SCHEME, "Reason why the case was not analysed")
INSTANCE_COUNT = Code("1205", PRIVATE_SCHEME, "Instances in the series")
INTENDED_USE = Code("1301", PRIVATE_SCHEME, "Intended use")
RESEARCH_USE_ONLY = Code("1302", PRIVATE_SCHEME, "For research use only, not for diagnosis")
TRAINING_DATA = Code("1303", PRIVATE_SCHEME, "Training data of the model")
VALIDATION_DATA = Code("1304", PRIVATE_SCHEME, "Validation of the model")
NO_LESION_DETECTED = Code("1305", PRIVATE_SCHEME, "No lesion detected")
NOT_ANALYSED = Code("1306", PRIVATE_SCHEME, "Not analysed")
ANSWER_DELAY = Code("1307", PRIVATE_SCHEME, "Time from the last image to the analysis, where it was long")

# Why a series or a case was not used. DCM where the standard has the same meaning (CID 9300, 7011), else private.
OBJECTS_INCORRECTLY_FORMATTED = Code("110521", "DCM", "Objects incorrectly formatted")
OBJECT_TYPES_NOT_SUPPORTED = Code("110522", "DCM", "Object Types not supported")
OBJECT_SET_INCOMPLETE = Code("110523", "DCM", "Object Set incomplete")
SOFTWARE_FAILURE = Code("111218", "DCM", "Software failure")
NOT_MR = Code("1401", PRIVATE_SCHEME, "Not MR")
LOCALIZER = Code("1402", PRIVATE_SCHEME, "Localizer")
MISSING_GEOMETRY = Code("1403", PRIVATE_SCHEME, "Position or orientation missing")
WRONG_PLANE = Code("1404", PRIVATE_SCHEME, "Not sagittal")
MIXED_ORIENTATION = Code("1405", PRIVATE_SCHEME, "Several orientations in one series")
NOT_SPINE = Code("1406", PRIVATE_SCHEME, "Not the spine")
UNKNOWN_KIND = Code("1407", PRIVATE_SCHEME, "Weighting is neither T1 nor T2 nor fat-suppressed T2")
NO_ELIGIBLE_SERIES = Code("1408", PRIVATE_SCHEME, "No eligible series")
IDENTITY_CONFLICT = Code("1409", PRIVATE_SCHEME, "Patient identity in doubt")
