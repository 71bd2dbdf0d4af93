"""Archives of DICOM objects: DICOMweb services and DIMSE peers, what is fetched from them and what is sent."""
